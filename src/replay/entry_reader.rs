//! Sequential reading of a recording's file, of which only one entry is in memory at a time.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use bytes::Bytes;
use zstd::stream::read::Decoder;

use super::{
    entry::{Broken, Entry, Exchange},
    error::Error,
};

/// Reads the entries of a recording in their order.
pub(super) struct EntryReader(BufReader<Decoder<'static, BufReader<File>>>);

impl EntryReader {
    /// Opens the file.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let open = || Ok(BufReader::new(Decoder::new(File::open(path)?)?));
        let opened: io::Result<_> = open();
        opened
            .map(Self)
            .map_err(|source| Error::io("read", path, source))
    }

    /// Reads the next entry, and its payload if the entry is `wanted`; `None` at the end.
    pub(super) fn next(
        &mut self,
        wanted: impl FnOnce(&Entry) -> bool,
    ) -> Result<Option<(Entry, Bytes)>, Broken> {
        Entry::read(&mut self.0, wanted)
    }

    /// Reads up to the next exchange, and its body if it is `wanted`. Returns `None` at the end of what can be read.
    pub(super) fn next_exchange(&mut self, wanted: bool) -> Option<(Exchange, Bytes)> {
        loop {
            let is_wanted = |entry: &Entry| wanted && matches!(entry, Entry::Exchange(_));
            if let (Entry::Exchange(exchange), body) = self.next(is_wanted).ok()?? {
                return Some((exchange, body));
            }
        }
    }

    /// Reads up to the next message. Returns `None` at the end of what can be read.
    pub(super) fn next_message(&mut self) -> Option<Bytes> {
        loop {
            let is_wanted = |entry: &Entry| matches!(entry, Entry::Message { .. });
            if let (Entry::Message { .. }, message) = self.next(is_wanted).ok()?? {
                return Some(message);
            }
        }
    }
}
