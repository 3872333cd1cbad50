//! Conversion of a sync's operations to messages of the protocol. No other module does this.

use std::collections::BTreeMap;

use prost::Message;

use super::{
    encode::{RecordWriter, put_with},
    proto::{self, update_response::Operation, value_type::Inner},
    wire::{BatchBuffer, Encoded},
};
use crate::sync::{Op, Selection};

/// The maximum number of records in a message: the protocol's limit.
const BATCH_RECORDS: usize = 100;

/// The approximate maximum of bytes in a message: far below the limit of 128 MiB, and small in memory.
const BATCH_BYTES: usize = 1 << 20;

/// The largest message that gRPC clients accept by default, in bytes.
pub(super) const DEFAULT_CLIENT_LIMIT: usize = 4 << 20;

/// The field number of `Records.records`.
const RECORDS: u32 = 1;

/// Converts the operations of one sync to messages.
#[derive(Debug)]
pub struct MessageEncoder {
    writers: Vec<RecordWriter>,
    /// The size of the last batch in bytes; the next one is about as large.
    room: usize,
}

impl MessageEncoder {
    /// Creates an encoder for the tables of `selection`.
    pub fn new(selection: &Selection) -> Self {
        Self {
            writers: selection.tables.iter().map(RecordWriter::new).collect(),
            room: 0,
        }
    }

    /// Returns the messages for operations, in their order. Consecutive rows share messages.
    pub fn messages(&mut self, ops: Vec<Op>) -> Vec<Encoded> {
        let mut messages = Vec::new();
        let mut batch = Batch {
            records: None,
            room: self.room,
        };
        for op in ops {
            match op {
                Op::Upsert { table, row } => {
                    // Only selected tables are read.
                    let mut writers = self.writers.iter();
                    if let Some(writer) = writers.find(|writer| writer.table == table) {
                        let mut length = 0;
                        let write = |bytes: &mut Vec<u8>| {
                            let start = bytes.len();
                            writer.write(&row, bytes);
                            length = bytes.len() - start;
                        };
                        batch.push(write, &mut messages);
                        if length > DEFAULT_CLIENT_LIMIT {
                            warn_of_large_row(table, row.id(), length);
                        }
                    }
                }
                Op::Delete { table, id } => {
                    let record = delete(table, id).encode_to_vec();
                    batch.push(|bytes| bytes.extend_from_slice(&record), &mut messages);
                }
                Op::Truncate { table } => {
                    let record = truncate(table).encode_to_vec();
                    batch.push(|bytes| bytes.extend_from_slice(&record), &mut messages);
                }
                Op::Checkpoint { state_json } => {
                    batch.flush(&mut messages);
                    messages.push(message(Operation::Checkpoint(proto::Checkpoint {
                        state_json,
                    })));
                }
                Op::Warning { message: text } => {
                    batch.flush(&mut messages);
                    messages.push(message(Operation::Warning(proto::Warning {
                        message: text,
                    })));
                }
            }
        }
        batch.flush(&mut messages);
        self.room = batch.room;
        messages
    }
}

/// Logs a row that a client with default settings rejects, because the client's error does not name it.
fn warn_of_large_row(table: &str, id: &str, bytes: usize) {
    tracing::warn!(
        "table {table}: the row with id {id} has {bytes} bytes, which is more than the 4 MiB that gRPC clients accept by default: a client that rejects it must raise its limit to 128 MiB"
    );
}

/// Returns a delete with the key alone: the row keeps its other values.
fn delete(table: &str, id: String) -> proto::Record {
    let inner = Some(Inner::String(id));
    proto::Record {
        schema_name: None,
        table_name: table.to_owned(),
        r#type: proto::RecordType::Delete.into(),
        data: BTreeMap::from([("id".to_owned(), proto::ValueType { inner })]),
    }
}

fn truncate(table: &str) -> proto::Record {
    proto::Record {
        schema_name: None,
        table_name: table.to_owned(),
        r#type: proto::RecordType::Truncate.into(),
        data: BTreeMap::new(),
    }
}

/// Returns a message that ends a sync with a failure that the user must fix.
pub(super) fn task(text: String) -> Encoded {
    message(Operation::Task(proto::Task { message: text }))
}

fn message(operation: Operation) -> Encoded {
    let operation = Some(operation);
    proto::UpdateResponse { operation }.into()
}

/// Records that will be sent together.
struct Batch {
    /// The records and their number, if there are any.
    records: Option<(BatchBuffer, usize)>,
    /// The expected number of bytes.
    room: usize,
}

impl Batch {
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>), messages: &mut Vec<Encoded>) {
        if let Some((_, BATCH_RECORDS)) = self.records {
            self.flush(messages);
        }
        let room = self.room;
        let new = || (BatchBuffer::with_capacity(room), 0);
        let (buffer, number) = self.records.get_or_insert_with(new);
        let start = buffer.len();
        put_with(RECORDS, buffer.bytes(), write);
        *number += 1;
        if start > 0 && buffer.len() > BATCH_BYTES {
            let last = buffer.split_off(start);
            self.flush(messages);
            self.records = Some((last, 1));
        }
    }

    fn flush(&mut self, messages: &mut Vec<Encoded>) {
        if let Some((buffer, _)) = self.records.take() {
            self.room = buffer.len();
            messages.push(buffer.into_message());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost_types::Timestamp;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{
        rows::{Context, Row, ValueRef},
        sync::SelectedTable,
        tables::{self, ColumnType, Source},
    };

    fn flow(id: usize, name: &str) -> Op {
        let table = tables::find("flows").expect("a table");
        let object = json!({"id": id.to_string(), "name": name}).to_string();
        Op::Upsert {
            table: "flows",
            row: Row::parse(table, &object, &Context::default()).expect("a row"),
        }
    }

    fn encoder(columns: impl Fn(&str) -> bool) -> MessageEncoder {
        let mut selected = SelectedTable::all(tables::find("flows").expect("a table"));
        selected.columns = selected
            .table
            .columns
            .iter()
            .map(|column| columns(column.name))
            .collect();
        MessageEncoder::new(&Selection {
            tables: vec![selected],
        })
    }

    fn decode(message: &Encoded) -> Operation {
        let message = proto::UpdateResponse::decode(&*message.encode_to_vec()).expect("a message");
        message.operation.expect("an operation")
    }

    fn sizes(messages: &[Encoded]) -> Vec<usize> {
        messages
            .iter()
            .map(|message| match decode(message) {
                Operation::Records(records) => records.records.len(),
                _ => 0,
            })
            .collect()
    }

    #[test]
    fn batches_keep_both_limits_and_a_checkpoint_follows_its_rows() {
        let mut ops: Vec<Op> = (0..250).map(|id| flow(id, "n")).collect();
        ops.push(Op::Checkpoint {
            state_json: "{}".to_owned(),
        });
        assert_eq!(sizes(&encoder(|_| true).messages(ops)), [100, 100, 50, 0]);
        let large = "x".repeat(BATCH_BYTES / 3);
        let ops: Vec<Op> = (0..5).map(|id| flow(id, &large)).collect();
        assert_eq!(sizes(&encoder(|_| true).messages(ops)), [2, 2, 1]);
        let huge = "x".repeat(BATCH_BYTES * 2);
        let ops = vec![flow(1, "n"), flow(2, &huge), flow(3, "n")];
        assert_eq!(sizes(&encoder(|_| true).messages(ops)), [1, 1, 1]);
    }

    #[test]
    fn a_row_carries_every_selected_column_and_no_other() {
        let messages = encoder(|name| name != "tags").messages(vec![flow(7, "n")]);
        let Operation::Records(records) = decode(&messages[0]) else {
            panic!("no records");
        };
        let data = &records.records[0].data;
        assert!(!data.contains_key("tags"));
        assert_eq!(
            data.len(),
            tables::find("flows").expect("a table").columns.len() - 1
        );
        assert_eq!(data["labels"].inner, Some(Inner::Null(true)));
        assert_eq!(data["name"].inner, Some(Inner::String("n".to_owned())));
    }

    /// Returns the generated message for a row.
    fn plainly(selected: &SelectedTable, row: &Row) -> proto::Record {
        let sent = selected.table.columns.iter().zip(&selected.columns);
        let data =
            sent.zip(row.values())
                .filter(|((_, sent), _)| **sent)
                .map(|((column, _), value)| {
                    let inner = Some(match value {
                        ValueRef::Null => Inner::Null(true),
                        ValueRef::String(text) => Inner::String(text.to_owned()),
                        ValueRef::Boolean(yes) => Inner::Bool(yes),
                        ValueRef::Long(number) => Inner::Long(number),
                        ValueRef::Double(number) => Inner::Double(number),
                        ValueRef::UtcDatetime(instant) => Inner::UtcDatetime(Timestamp {
                            seconds: instant.timestamp(),
                            nanos: instant.timestamp_subsec_nanos().cast_signed(),
                        }),
                        ValueRef::Json(text) => Inner::Json(text.to_owned()),
                    });
                    (column.name.to_owned(), proto::ValueType { inner })
                });
        proto::Record {
            schema_name: None,
            table_name: selected.table.name.to_owned(),
            r#type: proto::RecordType::Upsert.into(),
            data: data.collect(),
        }
    }

    /// Generates a value that fits a column, or null.
    fn any_value(kind: ColumnType) -> BoxedStrategy<Json> {
        let some = match kind {
            ColumnType::String => ".{0,200}".prop_map(Json::from).boxed(),
            ColumnType::Boolean => any::<bool>().prop_map(Json::from).boxed(),
            ColumnType::Long => any::<i64>().prop_map(Json::from).boxed(),
            ColumnType::Double => any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(Json::from)
                .boxed(),
            ColumnType::UtcDatetime => (-62_135_596_800_000_000_i64..253_402_300_799_999_999)
                .prop_map(|micros| json!(chrono::DateTime::from_timestamp_micros(micros)))
                .boxed(),
            ColumnType::Json => prop::collection::vec(".{0,9}", 0..9)
                .prop_map(|list| json!(list))
                .boxed(),
        };
        prop_oneof![1 => Just(Json::Null), 4 => some].boxed()
    }

    fn any_object(table: &'static tables::Table) -> impl Strategy<Value = String> {
        let fields: Vec<_> = table
            .columns
            .iter()
            .skip(1)
            .filter_map(|column| match column.source {
                Source::Json([place, ..]) => Some((Just(*place), any_value(column.kind))),
                _ => None,
            })
            .collect();
        fields.prop_map(|fields| {
            let mut object = json!({"id": "a"});
            for (place, value) in fields {
                match place.split_once('.') {
                    None => object[place] = value,
                    Some((outer, inner)) if !inner.starts_with("0.") => {
                        object[outer][inner] = value;
                    }
                    Some(_) => {}
                }
            }
            object.to_string()
        })
    }

    proptest! {
        #[test]
        fn rows_are_encoded_as_the_generated_messages_are(
            (table, object) in (0..tables::ALL.len())
                .prop_flat_map(|table| (Just(tables::ALL[table]), any_object(tables::ALL[table]))),
            keep in prop::collection::vec(any::<bool>(), 100),
        ) {
            let row = Row::parse(table, &object, &Context::default()).expect("a row");
            prop_assert!(row.misfits().is_empty() && row.undeclared().is_empty(), "{}", object);
            let mut selected = SelectedTable::all(table);
            for (sent, keep) in selected.columns.iter_mut().skip(1).zip(keep) {
                *sent = keep;
            }
            let record = plainly(&selected, &row);
            let want = proto::UpdateResponse {
                operation: Some(Operation::Records(proto::Records { records: vec![record] })),
            };
            let mut encoder = MessageEncoder::new(&Selection { tables: vec![selected] });
            let messages = encoder.messages(vec![Op::Upsert { table: table.name, row }]);
            prop_assert_eq!(messages.len(), 1);
            prop_assert_eq!(decode(&messages[0]), want.operation.clone().expect("records"));
            // The bytes are equal, too, because the generated map is ordered.
            prop_assert_eq!(messages[0].encode_to_vec(), want.encode_to_vec());
        }
    }
}
