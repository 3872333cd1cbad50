//! A recording, read.

use std::{fs::File, io::BufReader, path::Path};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message as _;

use super::{
    Error,
    entry::{Broken, End, Entry, Exchange, Head, VERSION},
};
use crate::{fivetran::proto::UpdateRequest, sync::Turn};

/// A recording, whole in memory.
#[derive(Debug)]
pub struct Recorded {
    pub(super) head: Head,
    /// Selection and state; the configuration stands in the head. `None`: no sync began.
    pub(super) request: Option<UpdateRequest>,
    pub(super) exchanges: Vec<(Exchange, Bytes)>,
    pub(super) turns: Vec<Turn>,
    pub(super) times: Vec<DateTime<Utc>>,
    pub(super) messages: Vec<Bytes>,
    /// `None`: it was cut off.
    pub(super) ended: Option<End>,
    /// Nothing is missing at the end of the file.
    pub(super) is_complete: bool,
}

impl Recorded {
    /// Reads the file. One that ends early is taken as far as it goes.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::io("read", path, source);
        let damaged = |why: String| Error::Damaged {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(io)?;
        let mut input = BufReader::new(zstd::stream::read::Decoder::new(file).map_err(io)?);
        let first = match Entry::read(&mut input) {
            Ok(Some((Entry::Recording(head), _))) => head,
            Ok(Some(_)) => return Err(damaged("it does not begin like one".to_owned())),
            Ok(None) | Err(Broken::Cut) => return Err(damaged("it is empty".to_owned())),
            Err(Broken::Damaged(why)) => return Err(damaged(why)),
        };
        if first.version != VERSION {
            return Err(Error::Version {
                path: path.to_owned(),
                version: first.version,
            });
        }
        let mut recorded = Self {
            head: first,
            request: None,
            exchanges: Vec::new(),
            turns: Vec::new(),
            times: Vec::new(),
            messages: Vec::new(),
            ended: None,
            is_complete: false,
        };
        loop {
            match Entry::read(&mut input) {
                Ok(Some((entry, payload))) => recorded.take(entry, payload).map_err(damaged)?,
                Ok(None) | Err(Broken::Cut) => return Ok(recorded),
                Err(Broken::Damaged(why)) => return Err(damaged(why)),
            }
        }
    }

    fn take(&mut self, entry: Entry, payload: Bytes) -> Result<(), String> {
        match entry {
            Entry::Recording(_) => return Err("it begins twice".to_owned()),
            Entry::Sync { .. } if self.request.is_some() => {
                return Err("it holds more than one sync".to_owned());
            }
            Entry::Sync { .. } => {
                let request = UpdateRequest::decode(payload);
                self.request = Some(request.map_err(|error| error.to_string())?);
            }
            Entry::Exchange(exchange) => self.exchanges.push((exchange, payload)),
            Entry::Turn(who, ticket) => self.turns.push(Turn { who, ticket }),
            Entry::Time(now) => self.times.push(now),
            Entry::Message { .. } => self.messages.push(payload),
            Entry::Ended(how) => self.ended = Some(how),
            Entry::Complete { .. } => self.is_complete = true,
        }
        Ok(())
    }
}
