//! The thread that writes the entries of a recording into a file.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::{
        OnceLock,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use bytes::Bytes;
use zstd::stream::write::Encoder;

use super::entry::Entry;

/// The compression level: the fastest one that finds the values of a response again in a message.
const LEVEL: i32 = 1;
/// The distance in which repetitions are found, in bytes, as a power of two. It covers a page of runs and the page's
/// messages.
const WINDOW: u32 = 22;
/// The time without an entry after which the file is flushed, so that a killed process leaves its entries there.
const IDLE: Duration = Duration::from_millis(500);

/// The reason why a recording ends before its sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyEnd {
    /// The file reached its maximum size.
    TooLarge,
    /// A response contained a secret value of the configuration. That response is not in the recording.
    Secret,
}

/// An entry that waits to be written, and its payload in pieces.
pub(super) type Item = (Entry, Vec<Bytes>);

/// A file, and the number of bytes that were written to it.
struct CountedFile {
    file: File,
    written: u64,
}

impl Write for CountedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes entries until the channel is closed, and returns the file. Ends before and sets `early_end` if the file has
/// more than `limit` bytes.
pub(super) fn write(
    file: File,
    items: &Receiver<Item>,
    limit: u64,
    early_end: &OnceLock<EarlyEnd>,
) -> io::Result<File> {
    let file = CountedFile { file, written: 0 };
    let mut out = Encoder::new(BufWriter::new(file), LEVEL)?;
    out.window_log(WINDOW)?;
    loop {
        match items.recv_timeout(IDLE) {
            Ok((entry, payload)) => {
                let pieces: Vec<&[u8]> = payload.iter().map(AsRef::as_ref).collect();
                entry.write(&pieces, &mut out)?;
            }
            Err(RecvTimeoutError::Timeout) => out.flush()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if out.get_ref().get_ref().written > limit {
            let _ = early_end.set(EarlyEnd::TooLarge);
            break;
        }
    }
    let file = out
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    Ok(file.file)
}
