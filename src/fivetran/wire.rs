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

/// An encoded `UpdateResponse`. The generated server uses this type instead of [`proto::UpdateResponse`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    /// The operation's tag and length, or nothing if the body is a whole message.
    head: Bytes,
    body: Bytes,
}

impl Encoded {
    /// Creates a batch. `body` contains the records, each after its tag and length.
    pub(super) fn records(body: Vec<u8>) -> Self {
        // UpdateResponse.records = 6.
        let mut head = Vec::with_capacity(8);
        prost::encoding::encode_key(6, WireType::LengthDelimited, &mut head);
        prost::encoding::encode_varint(body.len() as u64, &mut head);
        Self {
            head: head.into(),
            body: body.into(),
        }
    }

    /// Returns the whole message in two pieces.
    pub(super) fn pieces(&self) -> [&Bytes; 2] {
        [&self.head, &self.body]
    }
}

impl From<proto::UpdateResponse> for Encoded {
    fn from(message: proto::UpdateResponse) -> Self {
        Self {
            head: Bytes::new(),
            body: message.encode_to_vec().into(),
        }
    }
}

impl Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.head);
        buffer.put_slice(&self.body);
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
        self.head.len() + self.body.len()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
