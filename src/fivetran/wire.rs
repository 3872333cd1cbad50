//! Encoded messages, and the generated server that sends them unchanged.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, skip_field},
};

use super::proto;

#[allow(
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    reason = "generated code"
)]
mod generated {
    tonic::include_proto!("fivetran_sdk.v2");
}

pub use generated::source_connector_server::{SourceConnector, SourceConnectorServer};

/// The bytes before each message of a gRPC stream: a flag for compression, and the message's length.
const PREFIX: usize = 5;

/// The bytes before the records of a batch: the prefix, and the tag and the length of `UpdateResponse.records`.
const BATCH_START: usize = PREFIX + 1 + 10;

/// The field number of `UpdateResponse.records`.
const RECORDS: u32 = 6;

/// An encoded `UpdateResponse`. The generated server uses this type instead of [`proto::UpdateResponse`].
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The prefix and the message, as they are sent.
    framed: Bytes,
}

impl Encoded {
    /// The message, without its prefix.
    pub(super) fn message(&self) -> Bytes {
        self.framed.slice(PREFIX..)
    }

    /// Returns the prefix and the message, as they are sent without compression.
    pub(super) fn into_framed(self) -> Bytes {
        self.framed
    }

    /// Puts the prefix before a message that ends `buffer`, at `start - PREFIX`, and drops what is before.
    fn frame(mut buffer: Vec<u8>, start: usize) -> Self {
        // Longer messages are never sent: the limit is far lower.
        let len = u32::try_from(buffer.len() - start).unwrap_or(u32::MAX);
        let start = start - PREFIX;
        buffer[start] = 0;
        buffer[start + 1..start + PREFIX].copy_from_slice(&len.to_be_bytes());
        Self {
            framed: Bytes::from(buffer).slice(start..),
        }
    }
}

impl Default for Encoded {
    fn default() -> Self {
        Self::frame(vec![0; PREFIX], PREFIX)
    }
}

impl From<proto::UpdateResponse> for Encoded {
    fn from(message: proto::UpdateResponse) -> Self {
        let mut buffer = Vec::with_capacity(PREFIX + message.encoded_len());
        buffer.resize(PREFIX, 0);
        message.encode_raw(&mut buffer);
        Self::frame(buffer, PREFIX)
    }
}

/// The records of a batch, each after its tag and length. They are written behind the bytes that the message begins
/// with, so that they are never copied.
#[derive(Debug)]
pub(super) struct BatchBuffer(Vec<u8>);

impl BatchBuffer {
    /// Creates a buffer with room for `room` bytes of records.
    pub(super) fn with_capacity(room: usize) -> Self {
        let mut buffer = Vec::with_capacity(BATCH_START + room);
        buffer.resize(BATCH_START, 0);
        Self(buffer)
    }

    /// The number of bytes that the records have.
    pub(super) fn len(&self) -> usize {
        self.0.len() - BATCH_START
    }

    /// The buffer, to which records are appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Moves the records from byte `at` of the records on to a new buffer.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let mut rest = Self::with_capacity(self.len() - at);
        rest.0.extend_from_slice(&self.0[BATCH_START + at..]);
        self.0.truncate(BATCH_START + at);
        rest
    }

    /// Returns the message.
    pub(super) fn into_message(mut self) -> Encoded {
        let mut head = Vec::with_capacity(BATCH_START);
        prost::encoding::encode_key(RECORDS, WireType::LengthDelimited, &mut head);
        prost::encoding::encode_varint(self.len() as u64, &mut head);
        let start = BATCH_START - head.len();
        self.0[start..BATCH_START].copy_from_slice(&head);
        Encoded::frame(self.0, start)
    }
}

impl Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.framed[PREFIX..]);
    }

    /// Skips the field, because no message is ever decoded into this type.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.framed.len() - PREFIX
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
