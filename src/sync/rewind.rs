//! Resets a table to an earlier time at a user's request: later changes are read and sent again.

use chrono::{DateTime, Utc};

use super::{
    State,
    describe::time,
    strategies::{ReaderState, RewindRefused},
};
use crate::tables;

/// The earliest time of a rewind. No table was read before it, so an earlier time would not add anything.
const EARLIEST: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The result of a rewind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewound {
    /// The time up to which the table was read before; `None` if it is not read by time.
    pub from: Option<DateTime<Utc>>,
    /// A description of what the next sync reads again.
    pub again: String,
    /// The tables that are read together with this one, and so are sent again, too.
    pub with: Vec<String>,
}

/// The reason that a rewind is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewindError {
    /// No table has this name.
    #[error("table `{name}` does not exist; the state has {known}")]
    UnknownTable {
        /// The requested name.
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
    /// The time is in the future.
    #[error("{to} is in the future: choose an earlier time")]
    Future {
        /// The requested time.
        to: String,
    },
    /// The time is before any at which a table can have been read.
    #[error("{to} is too long ago; to send everything again, use --all")]
    TooEarly {
        /// The requested time.
        to: String,
    },
    /// The table was read only up to that time or an earlier one.
    #[error("table {name} is read up to {read_up_to}: choose an earlier time")]
    NotBefore {
        /// The table.
        name: String,
        /// The time up to which the table was read.
        read_up_to: String,
    },
    /// The time is before the start date that the user has chosen.
    #[error(
        "table {name} is only read from the start date {start} on: choose a later time, or an earlier start_date in the configuration (the earlier rows are then read without a rewind)"
    )]
    BeforeStart {
        /// The table.
        name: String,
        /// The start date.
        start: String,
    },
    /// The first reading of the table is not complete yet.
    #[error(
        "the first sync of table {name} is not complete: the next sync continues it, and a rewind is not possible yet"
    )]
    NotReadYet {
        /// The table.
        name: String,
    },
    /// The table is not read by time.
    #[error(
        "table {name} is not read by time: each sync lists it completely and sends the rows that changed. To send all rows again, use --all instead of --to"
    )]
    NotByTime {
        /// The table.
        name: String,
    },
    /// Another table has the state of this table.
    #[error(
        "table {name} is read together with {with} and shares its state: rewind {with}, and both are sent again"
    )]
    ReadWith {
        /// The table.
        name: String,
        /// The table that has the state.
        with: String,
    },
}

impl State {
    /// Resets a table so that the next sync sends everything again that changed since `to`. Without `to`, the next sync
    /// sends all rows again. `now` is this machine's time.
    pub fn rewind_table(
        &mut self,
        name: &str,
        to: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Rewound, RewindError> {
        let server_now = self.now;
        let with = self.read_with(name);
        let reader = self.reader_mut(name)?;
        if let ReaderState::HeldBy(with) = reader {
            let (name, with) = (name.to_owned(), with.clone());
            return Err(RewindError::ReadWith { name, with });
        }
        let from = reader.read_up_to();
        let Some(to) = to else {
            // If the server's time is unknown, the table's position is used, which cannot be later.
            reader.send_again(server_now.or(from).unwrap_or(now));
            let again =
                "everything again; the known ids are kept, so that deletes are still detected";
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
                RewindRefused::NotByTime => RewindError::NotByTime { name },
                RewindRefused::NotReadYet => RewindError::NotReadYet { name },
                RewindRefused::NotBefore(read_up_to) => RewindError::NotBefore {
                    name,
                    read_up_to: time(read_up_to),
                },
                RewindRefused::BeforeStart(start) => RewindError::BeforeStart {
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
            Some(table) => Ok(table.reader_mut()),
            None if tables::find(&name).is_some() => Err(RewindError::NeverRead { name, known }),
            None => Err(RewindError::UnknownTable { name, known }),
        }
    }

    /// Returns the tables whose state is in this table's entry.
    fn read_with(&self, name: &str) -> Vec<String> {
        let rides =
            |reader: &ReaderState| matches!(reader, ReaderState::HeldBy(with) if with == name);
        let tables = self.tables.iter();
        let tables = tables.filter(|(_, table)| rides(table.reader()));
        tables.map(|(name, _)| name.clone()).collect()
    }
}
