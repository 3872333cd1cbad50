//! Operations that the Python SDK sends in fields of its own, which the public protocol does not have.

use std::collections::BTreeMap;

use prost::Message;
use prost::bytes::Buf as _;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::model::TableId;
use fivetran_proto::{RecordType, UpdateRequest, UpdateResponse, update_response::Operation};

/// The column in which the SDK sends the path of a row's file.
pub(super) const FILE_PATH: &str = "_fivetran_file_path";

/// A message of a sync, read with the fields of the public protocol and, if they say nothing, with the SDK's.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) response: UpdateResponse,
    pub(super) own: Option<SdkOperation>,
    /// The size of the encoded message, in bytes.
    pub(super) size: usize,
}

/// An operation of the SDK's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SdkOperation {
    /// A part of a file (`UnstructuredRecord`).
    FilePart(TableId),
    /// A truncate as a message, possibly a deferred one.
    Truncate { table: TableId, deferred: bool },
    /// Records whose values are encoded in `row_data`.
    EncodedRows(TableId),
}

impl SdkOperation {
    pub(super) fn table(&self) -> &TableId {
        match self {
            Self::FilePart(table) | Self::Truncate { table, .. } | Self::EncodedRows(table) => {
                table
            }
        }
    }

    /// Returns what was sent.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::FilePart(_) => "a part of a file",
            Self::Truncate { deferred: true, .. } => {
                "a deferred truncate, which is not applied here"
            }
            Self::Truncate {
                deferred: false, ..
            } => "a truncate as a message of its own",
            Self::EncodedRows(_) => "rows in `row_data`, whose values are not examined",
        }
    }
}

/// The message of the SDK, with the fields in which it differs.
#[derive(Clone, PartialEq, Message)]
struct SdkResponse {
    #[prost(message, optional, tag = "1")]
    record: Option<SdkRecord>,
    #[prost(message, optional, tag = "6")]
    records: Option<SdkRecords>,
    #[prost(message, optional, tag = "7")]
    file: Option<SdkFilePart>,
    #[prost(message, optional, tag = "8")]
    truncate: Option<SdkTruncate>,
}

#[derive(Clone, PartialEq, Message)]
struct SdkRecords {
    #[prost(message, repeated, tag = "1")]
    records: Vec<SdkRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct SdkRecord {
    #[prost(string, optional, tag = "1")]
    schema_name: Option<String>,
    #[prost(string, tag = "2")]
    table_name: String,
    #[prost(btree_map = "string, bytes", tag = "5")]
    row_data: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct SdkFilePart {
    #[prost(string, optional, tag = "1")]
    schema_name: Option<String>,
    /// The table to which the file belongs.
    #[prost(string, tag = "2")]
    storage_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct SdkTruncate {
    #[prost(string, optional, tag = "1")]
    schema_name: Option<String>,
    #[prost(string, tag = "2")]
    table_name: String,
    #[prost(bool, tag = "3")]
    deferred: bool,
}

/// Returns true if the message may have fields that the public protocol does not have.
fn says_nothing(response: &UpdateResponse) -> bool {
    let is_empty = |record: &fivetran_proto::Record| {
        record.data.is_empty() && record.r#type != i32::from(RecordType::Truncate)
    };
    match &response.operation {
        None => true,
        Some(Operation::Record(record)) => is_empty(record),
        Some(Operation::Records(batch)) => batch.records.iter().any(is_empty),
        Some(_) => false,
    }
}

/// Reads the SDK's own operation; `None` if the message has none.
fn own_operation(bytes: &[u8]) -> Option<SdkOperation> {
    let response = SdkResponse::decode(bytes).ok()?;
    let table = |schema: Option<String>, table: String| TableId { schema, table };
    if let Some(file) = response.file {
        return Some(SdkOperation::FilePart(table(
            file.schema_name,
            file.storage_name,
        )));
    }
    if let Some(truncate) = response.truncate {
        return Some(SdkOperation::Truncate {
            table: table(truncate.schema_name, truncate.table_name),
            deferred: truncate.deferred,
        });
    }
    let batch = response.records.map(|batch| batch.records);
    let mut records = response.record.into_iter().chain(batch.unwrap_or_default());
    let encoded = records.find(|record| !record.row_data.is_empty())?;
    Some(SdkOperation::EncodedRows(table(
        encoded.schema_name,
        encoded.table_name,
    )))
}

/// Reads a message.
fn received(bytes: &[u8]) -> Result<Received, Status> {
    let response = UpdateResponse::decode(bytes)
        .map_err(|error| Status::internal(format!("the message cannot be decoded: {error}")))?;
    let own = if says_nothing(&response) {
        own_operation(bytes)
    } else {
        None
    };
    Ok(Received {
        response,
        own,
        size: bytes.len(),
    })
}

/// Encodes the request of a sync, and reads its messages.
#[derive(Debug, Default)]
pub(super) struct SyncCodec;

impl Codec for SyncCodec {
    type Encode = UpdateRequest;
    type Decode = Received;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for SyncCodec {
    type Item = UpdateRequest;
    type Error = Status;

    fn encode(&mut self, request: UpdateRequest, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let encoded = request.encode(buffer);
        encoded.map_err(|error| Status::internal(format!("the request cannot be encoded: {error}")))
    }
}

impl Decoder for SyncCodec {
    type Item = Received;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Received>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        received(&bytes).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fivetran_proto::{Checkpoint, Record, Records};

    fn table() -> TableId {
        TableId {
            schema: Some("s".to_owned()),
            table: "t".to_owned(),
        }
    }

    fn own(response: &SdkResponse) -> Option<SdkOperation> {
        received(&response.encode_to_vec()).unwrap().own
    }

    #[test]
    fn the_own_operations_of_the_sdk_are_recognised() {
        let (schema_name, table_name) = (Some("s".to_owned()), "t".to_owned());
        let file = SdkResponse {
            file: Some(SdkFilePart {
                schema_name: schema_name.clone(),
                storage_name: table_name.clone(),
            }),
            ..SdkResponse::default()
        };
        assert_eq!(own(&file), Some(SdkOperation::FilePart(table())));
        for deferred in [false, true] {
            let truncate = SdkResponse {
                truncate: Some(SdkTruncate {
                    schema_name: schema_name.clone(),
                    table_name: table_name.clone(),
                    deferred,
                }),
                ..SdkResponse::default()
            };
            let table = table();
            assert_eq!(
                own(&truncate),
                Some(SdkOperation::Truncate { table, deferred })
            );
        }
        let encoded = SdkRecord {
            schema_name,
            table_name,
            row_data: BTreeMap::from([("id".to_owned(), b"\x011".to_vec())]),
        };
        let rows = SdkResponse {
            records: Some(SdkRecords {
                records: vec![encoded],
            }),
            ..SdkResponse::default()
        };
        assert_eq!(own(&rows), Some(SdkOperation::EncodedRows(table())));
    }

    #[test]
    fn messages_of_the_protocol_have_no_own_operation() {
        let empty = UpdateResponse { operation: None };
        let record = Record {
            table_name: "t".to_owned(),
            ..Record::default()
        };
        let rows = Operation::Records(Records {
            records: vec![record],
        });
        let state_json = "{}".to_owned();
        let checkpoint = Operation::Checkpoint(Checkpoint { state_json });
        let messages = [Some(rows), Some(checkpoint)].map(|operation| UpdateResponse { operation });
        for message in messages.into_iter().chain([empty]) {
            let bytes = message.encode_to_vec();
            let read = received(&bytes).unwrap();
            assert_eq!((read.own, read.size), (None, bytes.len()));
            assert_eq!(read.response, message);
        }
        assert!(received(&[0x0a, 0xff]).is_err());
    }
}
