//! The file format of recordings: a Zstandard stream of entries. `docs/RECORDING.md` describes the format.
//!
//! An entry is a line of JSON. If the line contains `bytes`, this number of bytes and a line feed follow.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read as _},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tonic::Status;

use crate::prefect::Unreachable;

/// The version of the format. A reader rejects any other.
pub(super) const VERSION: u32 = 1;

/// The maximum size of a payload in bytes. A response has 64 MiB at most, a message of the protocol 128 MiB.
const LARGEST: usize = crate::fivetran::proto::MAX_MESSAGE_BYTES;

/// An entry of a recording.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Entry {
    /// The first entry.
    Recording(FileHeader),
    /// The beginning of a sync. The payload is its `UpdateRequest`, without the configuration.
    Sync {
        /// The payload's size.
        bytes: usize,
    },
    /// A request and its outcome. The payload is the response's body.
    Exchange(Exchange),
    /// A turn: the number of the tables, and the ticket. See [`crate::sync::LockTurn`].
    Turn(u32, Option<u32>),
    /// A time that the machine's clock returned.
    Time(DateTime<Utc>),
    /// A message. The payload is an `UpdateResponse`.
    Message {
        /// The payload's size.
        bytes: usize,
    },
    /// The end of a sync that was not interrupted.
    Ended(End),
    /// The last entry of a complete recording.
    Complete {
        /// The time from the first entry to this one, in milliseconds.
        ms: u64,
    },
}

/// The properties of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileHeader {
    /// The format's version.
    pub(super) version: u32,
    /// The connector's version.
    pub(super) connector: String,
    /// The time at which the recording began.
    pub(super) began: DateTime<Utc>,
    /// The seed of everything that is otherwise random.
    pub(super) seed: u64,
    /// The values of the setup form, without the secret ones.
    pub(super) configuration: BTreeMap<String, String>,
    /// The names of the secret values.
    pub(super) hidden: Vec<String>,
    /// The columns that were removed, `table.column`.
    pub(super) redacted: Vec<String>,
}

/// A request and its outcome.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    /// The time at which the response had arrived, in milliseconds from the beginning.
    pub(super) at: u64,
    /// The duration in milliseconds.
    #[serde(rename = "took")]
    pub(super) duration: u64,
    /// The number of the tables that sent the request, as in a turn; absent if no table did.
    #[serde(rename = "by", default, skip_serializing_if = "Option::is_none")]
    pub(super) requester: Option<u32>,
    pub(super) method: String,
    pub(super) target: String,
    /// The body of the request.
    #[serde(rename = "asked", default, skip_serializing_if = "Option::is_none")]
    pub(super) request_body: Option<Box<RawValue>>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<(String, String)>,
    /// The reason why there was no response. Without this and a status, the sync did not wait for the response.
    #[serde(rename = "nothing", default, skip_serializing_if = "Option::is_none")]
    pub(super) no_response: Option<NoResponseReason>,
    #[serde(default)]
    pub(super) bytes: usize,
}

/// The reason why there was no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NoResponseReason {
    UnknownHost,
    Refused,
    Tls,
    Proxy,
    ProxyCredentials,
    NotHttp,
    Timeout,
    Broken,
    TooLarge,
}

/// The outcome of a sync that was not interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    #[serde(rename = "well")]
    Completed,
    Failed(Failure),
}

impl End {
    pub(super) fn from_result(how: Result<(), &Status>) -> Self {
        match how {
            Ok(()) => Self::Completed,
            Err(status) => Self::Failed(Failure {
                code: status.code() as i32,
                text: status.message().to_owned(),
            }),
        }
    }
}

/// A gRPC status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    /// The number of the status code.
    pub(super) code: i32,
    /// The message of the status.
    pub(super) text: String,
}

impl NoResponseReason {
    pub(super) fn from_no_response(why: crate::prefect::NoResponse) -> Self {
        use crate::prefect::NoResponse;
        match why {
            NoResponse::TooLarge => Self::TooLarge,
            NoResponse::Unreachable(Unreachable::UnknownHost) => Self::UnknownHost,
            NoResponse::Unreachable(Unreachable::Refused) => Self::Refused,
            NoResponse::Unreachable(Unreachable::Tls) => Self::Tls,
            NoResponse::Unreachable(Unreachable::Proxy) => Self::Proxy,
            NoResponse::Unreachable(Unreachable::ProxyCredentials) => Self::ProxyCredentials,
            NoResponse::Unreachable(Unreachable::NotHttp) => Self::NotHttp,
            NoResponse::Unreachable(Unreachable::Timeout) => Self::Timeout,
            NoResponse::Unreachable(Unreachable::Broken) => Self::Broken,
        }
    }

    /// Describes the reason.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::UnknownHost => "the host is unknown",
            Self::Refused => "the connection was refused",
            Self::Tls => "TLS failed",
            Self::Proxy => "the proxy did not connect",
            Self::ProxyCredentials => "the proxy requires credentials",
            Self::NotHttp => "the server does not speak HTTP",
            Self::Timeout => "the time limit was reached",
            Self::Broken => "the connection was closed",
            Self::TooLarge => "the response was too large",
        }
    }

    pub(super) fn why(self) -> crate::prefect::NoResponse {
        use crate::prefect::NoResponse::{TooLarge, Unreachable as No};
        match self {
            Self::TooLarge => TooLarge,
            Self::UnknownHost => No(Unreachable::UnknownHost),
            Self::Refused => No(Unreachable::Refused),
            Self::Tls => No(Unreachable::Tls),
            Self::Proxy => No(Unreachable::Proxy),
            Self::ProxyCredentials => No(Unreachable::ProxyCredentials),
            Self::NotHttp => No(Unreachable::NotHttp),
            Self::Timeout => No(Unreachable::Timeout),
            Self::Broken => No(Unreachable::Broken),
        }
    }
}

impl Entry {
    /// Returns the size of the payload; `None` if the entry has none.
    pub(super) fn payload(&self) -> Option<usize> {
        match self {
            Self::Sync { bytes } | Self::Message { bytes } => Some(*bytes),
            Self::Exchange(exchange) => Some(exchange.bytes),
            _ => None,
        }
    }

    /// Appends the entry, and its payload, which is given in pieces.
    pub(super) fn write(
        &self,
        payload: &[&[u8]],
        out: &mut impl std::io::Write,
    ) -> std::io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")?;
        if self.payload().is_some() {
            for piece in payload {
                out.write_all(piece)?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads the next entry; `None` at the end. The payload is skipped, and empty here, unless the entry is `wanted`.
    pub(super) fn read(
        input: &mut impl BufRead,
        wanted: impl FnOnce(&Self) -> bool,
    ) -> Result<Option<(Self, Bytes)>, Broken> {
        let mut line = Vec::new();
        let most = LARGEST as u64;
        input
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut line)
            .map_err(Broken::from_io)?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.pop() != Some(b'\n') {
            return Err(Broken::Cut);
        }
        let entry: Self = serde_json::from_slice(&line).map_err(|error| {
            let place = format!("column {}", error.column());
            Broken::Damaged(format!("an entry cannot be read ({place})"))
        })?;
        let Some(size) = entry.payload() else {
            return Ok(Some((entry, Bytes::new())));
        };
        if size > LARGEST {
            return Err(Broken::Damaged("an entry is too large".to_owned()));
        }
        let mut payload = Vec::new();
        let limited = &mut input.by_ref().take(size as u64);
        let read = if wanted(&entry) {
            limited.read_to_end(&mut payload).map(|read| read as u64)
        } else {
            io::copy(limited, &mut io::sink())
        };
        if read.map_err(Broken::from_io)? < size as u64 {
            return Err(Broken::Cut);
        }
        let mut end = Vec::new();
        let read = input.by_ref().take(1).read_to_end(&mut end);
        match (read.map_err(Broken::from_io)?, &end[..]) {
            (0, _) => Err(Broken::Cut),
            (_, b"\n") => Ok(Some((entry, payload.into()))),
            _ => Err(Broken::Damaged(
                "an entry does not have its declared size".to_owned(),
            )),
        }
    }
}

/// The reason why reading ended before the last entry.
#[derive(Debug)]
pub(super) enum Broken {
    /// The file ends early, because the process that wrote it was killed.
    Cut,
    /// The file is not a recording, or was changed.
    Damaged(String),
}

impl Broken {
    #[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
    fn from_io(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Damaged(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &mut &[u8]) -> Result<Option<(Entry, Bytes)>, Broken> {
        Entry::read(input, |_| true)
    }

    #[test]
    fn entries_are_read_back_and_a_cut_is_detected() {
        let exchange = Exchange {
            at: 5,
            duration: 3,
            requester: Some(2),
            method: "POST".into(),
            target: "/flows/filter".into(),
            request_body: RawValue::from_string(r#"{"limit":2}"#.into()).ok(),
            status: Some(200),
            headers: vec![("date".into(), "now".into())],
            no_response: None,
            bytes: 4,
        };
        let mut file = Vec::new();
        let wrote = Entry::Exchange(exchange).write(&[b"[\n", b"2]"], &mut file);
        wrote.unwrap();
        Entry::Turn(3, None).write(&[], &mut file).unwrap();
        let mut input = &file[..];
        let (entry, payload) = read(&mut input).unwrap().unwrap();
        assert!(
            matches!(&entry, Entry::Exchange(it) if it.request_body.as_ref().unwrap().get() == r#"{"limit":2}"#)
        );
        assert_eq!(payload.as_ref(), b"[\n2]");
        assert!(matches!(
            read(&mut input),
            Ok(Some((Entry::Turn(3, None), _)))
        ));
        assert!(matches!(read(&mut input), Ok(None)));
        let mut input = &file[..];
        let (_, payload) = Entry::read(&mut input, |_| false).unwrap().unwrap();
        assert!(payload.is_empty());
        assert!(matches!(
            read(&mut input),
            Ok(Some((Entry::Turn(3, None), _)))
        ));
        for (cut, is_wanted) in (1..file.len()).flat_map(|cut| [(cut, true), (cut, false)]) {
            let mut input = &file[..cut];
            loop {
                match Entry::read(&mut input, |_| is_wanted) {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(Broken::Cut) => break,
                    Err(Broken::Damaged(why)) => panic!("{cut}: {why}"),
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_not_an_entry_are_an_error() {
        for text in [
            "{}\n",
            "hello\n",
            "{\"turn\":[]}\n",
            "{\"message\":{\"bytes\":999999999999}}\n",
            "{\"message\":{\"bytes\":1}}\nab",
        ] {
            for is_wanted in [true, false] {
                let entry = Entry::read(&mut text.as_bytes(), |_| is_wanted);
                assert!(matches!(entry, Err(Broken::Damaged(_))), "{text}");
            }
        }
    }
}
