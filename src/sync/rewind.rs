//! Taking the reading of a table back to a time, at a user's wish: what changed since is read and sent once more.

use chrono::{DateTime, Utc};

use super::{
    State,
    strategies::{NotRewound, ReaderState},
    words::time,
};
use crate::tables;

/// No table was read earlier than this, and nothing is lost by not going further back.
const EARLIEST: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// What a rewind has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewound {
    /// Up to where the table was read before; `None` where that is no time.
    pub from: Option<DateTime<Utc>>,
    /// What the next sync reads again.
    pub again: String,
    /// Tables that are read together with it, and so are sent again, too.
    pub with: Vec<String>,
}

/// A rewind that is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewindError {
    /// There is no such table.
    #[error("there is no table `{name}`; the state has {known}")]
    UnknownTable {
        /// As it was asked for.
        name: String,
        /// The tables of the state.
        known: String,
    },
    /// The table was never read.
    #[error(
        "table {name} is not in this state: its first sync reads everything anyway; the state has {known}"
    )]
    NeverRead {
        /// The table.
        name: String,
        /// The tables of the state.
        known: String,
    },
    /// The time has not come.
    #[error("{to} has not come yet: choose an earlier time")]
    Future {
        /// As it was asked for.
        to: String,
    },
    /// Before any time that a table could have been read.
    #[error("{to} is too long ago; to have everything sent again use --all")]
    TooEarly {
        /// As it was asked for.
        to: String,
    },
    /// Nothing to take back.
    #[error("table {name} is read up to {read_up_to} only: choose an earlier time")]
    NotBefore {
        /// The table.
        name: String,
        /// Where its reading is.
        read_up_to: String,
    },
    /// Before the start that the user has chosen.
    #[error(
        "of table {name} nothing before the start date {start} is wanted: choose a later time, or an earlier start_date in the configuration (what it adds is read then, without a rewind)"
    )]
    BeforeStart {
        /// The table.
        name: String,
        /// The start date.
        start: String,
    },
    /// The table was not read once yet.
    #[error(
        "the first reading of table {name} is not over: it goes on anyway, and nothing can be read again yet"
    )]
    NotReadYet {
        /// The table.
        name: String,
    },
    /// The table is not read by time.
    #[error(
        "table {name} is not read by time: each sync lists it in full and sends what is not as it was sent before. To have all of it sent again use --all in place of --to"
    )]
    NotByTime {
        /// The table.
        name: String,
    },
    /// Another table has the state.
    #[error(
        "table {name} is read together with {with}, which has its state: rewind {with}, and both are sent again"
    )]
    ReadWith {
        /// The table.
        name: String,
        /// The one it is read with.
        with: String,
    },
}

impl State {
    /// Has what changed since `to` in a table sent once more, by the clock's `now`; without `to` everything.
    pub fn rewind_table(
        &mut self,
        name: &str,
        to: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Rewound, RewindError> {
        let server_now = self.now;
        let with = self.read_with(name);
        let reader = self.reader_mut(name)?;
        if let ReaderState::With(with) = reader {
            let (name, with) = (name.to_owned(), with.clone());
            return Err(RewindError::ReadWith { name, with });
        }
        let from = reader.read_up_to();
        let Some(to) = to else {
            // Where the server's clock is not known: by no means later than it was.
            reader.send_again(server_now.or(from).unwrap_or(now));
            let again = "everything is read and sent again; ids stay known, so that deletes are still found";
            return Ok(Rewound {
                from,
                again: again.to_owned(),
                with,
            });
        };
        if to > now {
            return Err(RewindError::Future { to: time(to) });
        }
        if to < EARLIEST {
            return Err(RewindError::TooEarly { to: time(to) });
        }
        let again = reader.rewind_to(to).map_err(|why| {
            let name = name.to_owned();
            match why {
                NotRewound::NotByTime => RewindError::NotByTime { name },
                NotRewound::NotReadYet => RewindError::NotReadYet { name },
                NotRewound::NotBefore(read_up_to) => RewindError::NotBefore {
                    name,
                    read_up_to: time(read_up_to),
                },
                NotRewound::BeforeStart(start) => RewindError::BeforeStart {
                    name,
                    start: time(start),
                },
            }
        })?;
        let again = again.to_owned();
        Ok(Rewound { from, again, with })
    }

    fn reader_mut(&mut self, name: &str) -> Result<&mut ReaderState, RewindError> {
        let known: Vec<_> = self.tables.keys().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "no tables".to_owned(),
            names => names.join(", "),
        };
        let name = name.to_owned();
        match self.tables.get_mut(&name) {
            Some(table) => Ok(&mut table.reader),
            None if tables::find(&name).is_some() => Err(RewindError::NeverRead { name, known }),
            None => Err(RewindError::UnknownTable { name, known }),
        }
    }

    /// The tables whose state this one has, too.
    fn read_with(&self, name: &str) -> Vec<String> {
        let rides =
            |reader: &ReaderState| matches!(reader, ReaderState::With(with) if with == name);
        let tables = self.tables.iter();
        let tables = tables.filter(|(_, table)| rides(&table.reader));
        tables.map(|(name, _)| name.clone()).collect()
    }
}
