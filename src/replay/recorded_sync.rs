//! The contents of a recording without the bodies of responses and the messages, which are read when they are needed.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message as _;

use super::{
    entry::{Broken, End, Entry, Exchange, FileHeader, VERSION},
    entry_reader::EntryReader,
    error::Error,
};
use crate::{fivetran::proto::UpdateRequest, sync::LockTurn};

/// A recording whose file was read to its end once.
#[derive(Debug)]
pub struct RecordedSync {
    pub(super) path: PathBuf,
    pub(super) head: FileHeader,
    /// The selection and the state; the configuration is in the head. `None` if no sync began.
    pub(super) request: Option<UpdateRequest>,
    /// The requests and the heads of their responses, in the order of the file.
    pub(super) exchanges: Vec<RecordedExchange>,
    pub(super) turns: Vec<LockTurn>,
    pub(super) times: Vec<DateTime<Utc>>,
    /// The number of messages.
    pub(super) messages: u64,
    /// The outcome of the sync; `None` if it was interrupted.
    pub(super) ended: Option<End>,
    /// True if the file was written to its end.
    pub(super) is_complete: bool,
}

/// A request and the head of its response.
#[derive(Debug)]
pub(super) struct RecordedExchange {
    pub(super) exchange: Exchange,
    /// The number of turns that were taken before the response arrived. No turn before the response depends on it.
    pub(super) turns: u64,
}

impl RecordedSync {
    /// Reads the file. A file that ends early is read as far as possible.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::io("read", path, source);
        let file = File::open(path).map_err(io)?;
        let unpacked = zstd::stream::read::Decoder::new(file).map_err(io)?;
        Self::from_reader(path, &mut BufReader::new(unpacked))
    }

    /// Opens the file to read what is not in memory.
    pub(super) fn open(&self) -> Result<EntryReader, Error> {
        EntryReader::open(&self.path)
    }

    /// Reads the decompressed contents of the file.
    fn from_reader(path: &Path, input: &mut impl BufRead) -> Result<Self, Error> {
        let damaged = |why: String| Error::Damaged {
            path: path.to_owned(),
            why,
        };
        let is_wanted = |entry: &Entry| matches!(entry, Entry::Sync { .. });
        let first = match Entry::read(input, is_wanted) {
            Ok(Some((Entry::Recording(head), _))) => head,
            Ok(Some(_)) => return Err(damaged("it does not start with a header".to_owned())),
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
            path: path.to_owned(),
            head: first,
            request: None,
            exchanges: Vec::new(),
            turns: Vec::new(),
            times: Vec::new(),
            messages: 0,
            ended: None,
            is_complete: false,
        };
        loop {
            match Entry::read(input, is_wanted) {
                Ok(Some((entry, payload))) => {
                    recorded.add_entry(entry, payload).map_err(damaged)?;
                }
                Ok(None) | Err(Broken::Cut) => return Ok(recorded),
                Err(Broken::Damaged(why)) => return Err(damaged(why)),
            }
        }
    }

    fn add_entry(&mut self, entry: Entry, payload: Bytes) -> Result<(), String> {
        match entry {
            Entry::Recording(_) => return Err("it has two headers".to_owned()),
            Entry::Sync { .. } if self.request.is_some() => {
                return Err("it contains more than one sync".to_owned());
            }
            Entry::Sync { .. } => {
                let request = UpdateRequest::decode(payload);
                self.request = Some(request.map_err(|error| error.to_string())?);
            }
            Entry::Exchange(exchange) => {
                let turns = self.turns.len() as u64;
                self.exchanges.push(RecordedExchange { exchange, turns });
            }
            Entry::Turn(who, ticket) => self.turns.push(LockTurn { who, ticket }),
            Entry::Time(now) => self.times.push(now),
            Entry::Message { .. } => self.messages += 1,
            Entry::Ended(how) => self.ended = Some(how),
            Entry::Complete { .. } => self.is_complete = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> Entry {
        Entry::Recording(FileHeader {
            version: VERSION,
            connector: "0".into(),
            began: DateTime::UNIX_EPOCH,
            seed: 1,
            configuration: std::collections::BTreeMap::new(),
            hidden: Vec::new(),
            redacted: Vec::new(),
        })
    }

    /// Returns a recording, and the end of each of its entries.
    fn entries() -> (Vec<u8>, Vec<usize>) {
        let (mut file, mut ends) = (Vec::new(), Vec::new());
        let request = UpdateRequest {
            state_json: Some("{}".into()),
            ..UpdateRequest::default()
        };
        let request = request.encode_to_vec();
        let entries: [(Entry, &[u8]); 7] = [
            (head(), b""),
            (
                Entry::Sync {
                    bytes: request.len(),
                },
                &request,
            ),
            (Entry::Turn(1, Some(2)), b""),
            (Entry::Time(DateTime::UNIX_EPOCH), b""),
            (Entry::Message { bytes: 5 }, b"\x1a\x03abc"),
            (Entry::Ended(End::Completed), b""),
            (Entry::Complete { ms: 7 }, b""),
        ];
        for (entry, payload) in entries {
            entry.write(&[payload], &mut file).unwrap();
            ends.push(file.len());
        }
        (file, ends)
    }

    fn file() -> Vec<u8> {
        entries().0
    }

    /// Returns the number of entries that were read.
    fn number(recorded: &RecordedSync) -> usize {
        let lists = [
            recorded.exchanges.len(),
            recorded.turns.len(),
            recorded.times.len(),
            usize::try_from(recorded.messages).unwrap(),
        ];
        let single = [
            true,
            recorded.request.is_some(),
            recorded.ended.is_some(),
            recorded.is_complete,
        ];
        lists.iter().sum::<usize>() + single.iter().filter(|it| **it).count()
    }

    fn read(bytes: &[u8]) -> Result<RecordedSync, Error> {
        RecordedSync::from_reader(Path::new("a.rec"), &mut &bytes[..])
    }

    #[test]
    fn a_recording_is_read() {
        let recorded = read(&file()).unwrap();
        assert_eq!(recorded.state(), Some("{}"));
        assert_eq!((recorded.turns.len(), recorded.messages), (1, 1));
        assert_eq!(recorded.ended, Some(End::Completed));
        assert!(recorded.is_complete());
    }

    #[test]
    fn another_version_is_refused_and_so_is_what_is_no_recording() {
        let text = String::from_utf8(file()).unwrap();
        let newer = text.replacen("\"version\":1", "\"version\":2", 1);
        let error = read(newer.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
        let twice = format!("{text}{text}");
        for text in ["", "{}", "hello\n", &twice] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{error}");
        }
    }

    #[test]
    fn a_cut_file_has_every_entry_before_the_cut() {
        let (file, ends) = entries();
        for cut in 0..=file.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            match read(&file[..cut]) {
                Ok(recorded) => assert_eq!(number(&recorded), whole, "{cut}"),
                Err(error) => {
                    let is_expected = matches!(error, Error::Damaged { .. }) && whole == 0;
                    assert!(is_expected, "{cut}: {error}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_file_with_a_changed_byte_has_every_entry_or_is_damaged(at: prop::sample::Index, byte: u8) {
            let (mut file, ends) = entries();
            let at = at.index(file.len());
            file[at] = byte;
            match read(&file) {
                // A byte within a text may change without a trace. Without its line feed the last entry is cut.
                Ok(recorded) => {
                    let is_cut = at + 1 == file.len() && byte != b'\n';
                    prop_assert_eq!(number(&recorded), ends.len() - usize::from(is_cut));
                }
                Err(error) => {
                    let is_expected = matches!(error, Error::Damaged { .. } | Error::Version { .. });
                    prop_assert!(is_expected, "{error}");
                }
            }
        }
    }
}
