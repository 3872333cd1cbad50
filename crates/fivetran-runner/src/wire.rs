//! Messages of a sync whose records stay encoded until the warehouse reads them, value by value.
//!
//! A record is a map from column names to values. The generated message builds that map with a text for each name, only
//! for the warehouse to take it apart; here each value is decoded when its column is known. The other messages are the
//! generated ones. The field numbers are those of `proto/connector_sdk.proto`; a test compares both forms.

use fivetran_proto::{Checkpoint, SchemaChange, Task, UpdateRequest, ValueType, Warning};
use prost::{
    DecodeError, Message, Oneof,
    bytes::{Buf, Bytes},
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use tonic::{
    Status, Streaming, client::Grpc, codec::CompressionEncoding, codegen::http::uri::PathAndQuery,
    transport::Channel,
};
use tonic_prost::ProstCodec;

/// An `UpdateResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(oneof = "Operation", tags = "1, 2, 3, 4, 5, 6")]
    pub(super) operation: Option<Operation>,
}

/// An operation of a sync.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Operation {
    #[prost(message, tag = "1")]
    Record(Record),
    #[prost(message, tag = "2")]
    SchemaChange(SchemaChange),
    #[prost(message, tag = "3")]
    Checkpoint(Checkpoint),
    #[prost(message, tag = "4")]
    Warning(Warning),
    #[prost(message, tag = "5")]
    Task(Task),
    #[prost(message, tag = "6")]
    Records(Records),
}

/// A batch of records.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Records {
    #[prost(message, repeated, tag = "1")]
    pub(super) records: Vec<Record>,
}

/// A record whose values are encoded.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(string, optional, tag = "1")]
    pub(super) schema_name: Option<String>,
    #[prost(string, tag = "2")]
    pub(super) table_name: String,
    #[prost(int32, tag = "3")]
    pub(super) r#type: i32,
    /// The entries of the map from column names to values.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    entries: Vec<Bytes>,
}

/// An entry of a record that is not valid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidEntry {
    #[error("the encoding of a value ends too early")]
    TooShort,
    #[error("the name of a column is not UTF-8")]
    Name,
    #[error("{0}")]
    Value(#[from] DecodeError),
}

impl Record {
    /// Returns each column's name with its value, in the order in which they were sent.
    pub(super) fn values(&self) -> impl Iterator<Item = Result<(&str, ValueType), InvalidEntry>> {
        self.entries.iter().map(|entry| decode_entry(entry))
    }
}

/// Decodes an entry of the map: the name is field 1 and the value is field 2. A missing field has its default.
fn decode_entry(entry: &[u8]) -> Result<(&str, ValueType), InvalidEntry> {
    let (mut name, mut value) = ("", ValueType::default());
    let mut rest = entry;
    while rest.has_remaining() {
        let (field, kind) = decode_key(&mut rest)?;
        if !matches!((field, kind), (1 | 2, WireType::LengthDelimited)) {
            skip_field(kind, field, &mut rest, DecodeContext::default())?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut rest)?).ok();
        let (bytes, after) = length
            .and_then(|length| rest.split_at_checked(length))
            .ok_or(InvalidEntry::TooShort)?;
        rest = after;
        if field == 1 {
            name = std::str::from_utf8(bytes).map_err(|_| InvalidEntry::Name)?;
        } else {
            value.merge(bytes)?;
        }
    }
    Ok((name, value))
}

/// Calls `Update` of a connector.
pub(super) async fn update(
    channel: Channel,
    request: UpdateRequest,
    largest: usize,
) -> Result<Streaming<Response>, Status> {
    let mut grpc = Grpc::new(channel)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(largest)
        .max_encoding_message_size(largest);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/fivetran_sdk.v2.SourceConnector/Update");
    let codec: ProstCodec<UpdateRequest, Response> = ProstCodec::default();
    let request = tonic::Request::new(request);
    Ok(grpc
        .server_streaming(request, path, codec)
        .await?
        .into_inner())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fivetran_proto::{UpdateResponse, update_response, value_type::Inner};

    use super::*;

    impl From<update_response::Operation> for Operation {
        fn from(operation: update_response::Operation) -> Self {
            let operation = Some(operation);
            let bytes = UpdateResponse { operation }.encode_to_vec();
            let response = Response::decode(&*bytes).expect("the same protocol");
            response.operation.expect("an operation")
        }
    }

    fn value(inner: Inner) -> ValueType {
        ValueType { inner: Some(inner) }
    }

    #[test]
    fn a_record_has_the_values_of_the_generated_message() {
        let data: BTreeMap<String, ValueType> = [
            ("id", value(Inner::String("a".into()))),
            ("empty", ValueType::default()),
            ("json", value(Inner::Json("{}".into()))),
            ("n", value(Inner::Long(-1))),
            ("", value(Inner::Null(true))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let record = fivetran_proto::Record {
            schema_name: Some("s".into()),
            table_name: "t".into(),
            r#type: 2,
            data: data.clone(),
        };
        let bytes = record.encode_to_vec();
        let read = Record::decode(&*bytes).unwrap();
        assert_eq!(
            (read.schema_name.as_deref(), &*read.table_name, read.r#type),
            (Some("s"), "t", 2)
        );
        let values: Result<Vec<_>, _> = read.values().collect();
        let values = values.unwrap().into_iter();
        let values: BTreeMap<_, _> = values.map(|(name, it)| (name.to_owned(), it)).collect();
        assert_eq!(values, data);
        assert_eq!(read.encode_to_vec(), bytes);
    }

    #[test]
    fn an_entry_that_is_not_valid_is_reported() {
        assert_eq!(decode_entry(&[0x0a, 2, b'a']), Err(InvalidEntry::TooShort));
        assert_eq!(decode_entry(&[0x0a, 1, 0xff]), Err(InvalidEntry::Name));
        let value = decode_entry(&[0x12, 2, 0x28, 0xff]);
        assert!(matches!(value, Err(InvalidEntry::Value(_))), "{value:?}");
        // An unknown field is skipped, as in generated code.
        let known = [0x18, 1, 0x0a, 1, b'a', 0x12, 2, 0x28, 1];
        let long = ValueType {
            inner: Some(Inner::Long(1)),
        };
        assert_eq!(decode_entry(&known), Ok(("a", long)));
    }
}
