//! The bodies of recorded responses, read from the file as a replay needs them.
//!
//! A replay requests nearly in the order in which the responses arrived. So the file is read once, from its beginning to
//! its end, and only the bodies that were passed and not yet requested are in memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{entry_reader::EntryReader, error::Error};

/// The maximum size of the bodies in memory, in bytes. A replay that follows the recording needs a few pages.
const MOST_HELD: usize = 64 << 20;

/// Reads bodies by the number of their exchange in the recording.
pub(super) struct BodyReader {
    path: PathBuf,
    input: EntryReader,
    /// The number of the next exchange in the file.
    next: usize,
    /// The bodies that were passed and not yet taken.
    held: BTreeMap<usize, Bytes>,
    held_bytes: usize,
    most_held: usize,
}

impl BodyReader {
    /// Opens the recording.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            path: path.to_owned(),
            input: EntryReader::open(path)?,
            next: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            most_held: MOST_HELD,
        })
    }

    /// Returns the body of the exchange `number`. Returns `None` if the file can no longer be read.
    pub(super) fn take(&mut self, number: usize) -> Option<Bytes> {
        if let Some(body) = self.held.remove(&number) {
            self.held_bytes -= body.len();
            return Some(body);
        }
        if number < self.next {
            return self.read_again(number);
        }
        loop {
            let (_, body) = self.input.next_exchange(true)?;
            let at = self.next;
            self.next += 1;
            if at == number {
                return Some(body);
            }
            self.hold(at, body);
        }
    }

    /// Keeps a body that was passed. If the bodies become too large, the oldest ones are dropped: they are read again
    /// if they are requested at all.
    fn hold(&mut self, number: usize, body: Bytes) {
        self.held_bytes += body.len();
        self.held.insert(number, body);
        while self.held_bytes > self.most_held
            && let Some((_, oldest)) = self.held.pop_first()
        {
            self.held_bytes -= oldest.len();
        }
    }

    /// Reads a body that was dropped, from the beginning of the file.
    fn read_again(&self, number: usize) -> Option<Bytes> {
        let mut input = EntryReader::open(&self.path).ok()?;
        for _ in 0..number {
            input.next_exchange(false)?;
        }
        Some(input.next_exchange(true)?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::test_file::{exchange, recording},
        *,
    };

    /// Takes the bodies of a recording in an order, and returns the most bodies and bytes in memory.
    fn take_all(count: usize, order: &[usize], most_held: usize) -> (usize, usize) {
        let bodies: Vec<String> = (0..count).map(|number| format!("[{number:04}]")).collect();
        let entries: Vec<_> = bodies.iter().map(|body| exchange(None, body)).collect();
        let file = recording(&entries);
        let mut reader = BodyReader {
            most_held,
            ..BodyReader::open(file.path()).unwrap()
        };
        let mut most = (0, 0);
        for number in order {
            assert_eq!(reader.take(*number).unwrap(), bodies[*number]);
            let bytes: usize = reader.held.values().map(Bytes::len).sum();
            assert_eq!(bytes, reader.held_bytes);
            most = (most.0.max(reader.held.len()), most.1.max(bytes));
        }
        assert_eq!(reader.take(count), None);
        most
    }

    #[test]
    fn bodies_that_are_taken_in_order_are_not_held() {
        let order: Vec<usize> = (0..1_000).collect();
        assert_eq!(take_all(1_000, &order, MOST_HELD), (0, 0));
    }

    #[test]
    fn only_the_bodies_that_were_overtaken_are_held() {
        // Each group of eight in the reverse order, as if eight requests were in progress.
        let order: Vec<usize> = (0..1_000).map(|at| at / 8 * 8 + 7 - at % 8).collect();
        assert_eq!(take_all(1_000, &order, MOST_HELD), (7, 42));
    }

    #[test]
    fn bodies_beyond_the_limit_are_dropped_and_read_again() {
        // The first body is requested last: all others are passed first.
        let order: Vec<usize> = (0..100).rev().collect();
        assert_eq!(take_all(100, &order, 60), (10, 60));
    }
}
