//! A sync's operations become the protocol's messages: the only place that makes them.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Timestamp;

use super::proto::{self, update_response::Operation, value_type::Inner};
use crate::{
    rows::{Row, Value},
    sync::{Op, SelectedTable, Selection},
};

/// Records in a message: the protocol's limit.
const BATCH_RECORDS: usize = 100;

/// Bytes in a message, about: far below the limit of 128 MiB, and small to hold in memory.
const BATCH_BYTES: usize = 1 << 20;

/// Turns the operations of one sync into messages.
#[derive(Debug)]
pub(super) struct Emitter {
    selection: Selection,
}

impl Emitter {
    pub(super) fn new(selection: Selection) -> Self {
        Self { selection }
    }

    /// The messages for some operations, in their order; rows that follow each other share messages.
    pub(super) fn messages(&self, ops: Vec<Op>) -> Vec<proto::UpdateResponse> {
        let mut messages = Vec::new();
        let mut batch = Batch::default();
        for op in ops {
            match op {
                Op::Upsert { table, row } => {
                    let record = self.upsert(table, row);
                    batch.push(record, &mut messages);
                }
                Op::Delete { table, id } => batch.push(delete(table, id), &mut messages),
                Op::Truncate { table } => batch.push(truncate(table), &mut messages),
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
        messages
    }

    fn upsert(&self, table: &'static str, row: Row) -> proto::Record {
        let selected = self
            .selection
            .tables
            .iter()
            .find(|selected| selected.table.name == table);
        proto::Record {
            schema_name: None,
            table_name: table.to_owned(),
            r#type: proto::RecordType::Upsert.into(),
            data: selected
                .map(|selected| data(selected, row))
                .unwrap_or_default(),
        }
    }
}

/// Only the key: the row keeps its other values.
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

/// A message that ends a sync with something the user must mend.
pub(super) fn task(text: String) -> proto::UpdateResponse {
    message(Operation::Task(proto::Task { message: text }))
}

fn message(operation: Operation) -> proto::UpdateResponse {
    proto::UpdateResponse {
        operation: Some(operation),
    }
}

fn data(selected: &SelectedTable, row: Row) -> BTreeMap<String, proto::ValueType> {
    selected
        .table
        .columns
        .iter()
        .zip(&selected.columns)
        .zip(row.values)
        .filter(|((_, sent), _)| **sent)
        .map(|((column, _), value)| {
            let inner = Some(inner(value));
            (column.name.to_owned(), proto::ValueType { inner })
        })
        .collect()
}

fn inner(value: Value) -> Inner {
    match value {
        Value::Null => Inner::Null(true),
        Value::String(text) => Inner::String(text),
        Value::Boolean(yes) => Inner::Bool(yes),
        Value::Long(number) => Inner::Long(number),
        Value::Double(number) => Inner::Double(number),
        Value::UtcDatetime(instant) => Inner::UtcDatetime(Timestamp {
            seconds: instant.timestamp(),
            // Below 2^31 also in a leap second, which counts up to two thousand million.
            nanos: i32::try_from(instant.timestamp_subsec_nanos()).unwrap_or(999_999_999),
        }),
        Value::Json(text) => Inner::Json(text),
    }
}

/// Records waiting to be sent together.
#[derive(Default)]
struct Batch {
    records: Vec<proto::Record>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, record: proto::Record, messages: &mut Vec<proto::UpdateResponse>) {
        let bytes = record.encoded_len();
        if self.records.len() == BATCH_RECORDS
            || (!self.records.is_empty() && self.bytes + bytes > BATCH_BYTES)
        {
            self.flush(messages);
        }
        self.bytes += bytes;
        self.records.push(record);
    }

    fn flush(&mut self, messages: &mut Vec<proto::UpdateResponse>) {
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            self.bytes = 0;
            messages.push(message(Operation::Records(proto::Records { records })));
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::tables;

    fn flow(id: usize, name: &str) -> Op {
        let table = tables::find("flows").expect("a table");
        let mut values = vec![Value::Null; table.columns.len()];
        values[0] = Value::String(id.to_string());
        values[4] = Value::String(name.to_owned());
        Op::Upsert {
            table: "flows",
            row: Row { values },
        }
    }

    fn emitter(columns: impl Fn(&str) -> bool) -> Emitter {
        let mut selected = SelectedTable::all(tables::find("flows").expect("a table"));
        selected.columns = selected
            .table
            .columns
            .iter()
            .map(|column| columns(column.name))
            .collect();
        Emitter::new(Selection {
            tables: vec![selected],
        })
    }

    fn sizes(messages: &[proto::UpdateResponse]) -> Vec<usize> {
        messages
            .iter()
            .map(|message| match &message.operation {
                Some(Operation::Records(records)) => records.records.len(),
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
        assert_eq!(sizes(&emitter(|_| true).messages(ops)), [100, 100, 50, 0]);
        let large = "x".repeat(BATCH_BYTES / 3);
        let ops: Vec<Op> = (0..5).map(|id| flow(id, &large)).collect();
        assert_eq!(sizes(&emitter(|_| true).messages(ops)), [2, 2, 1]);
        let huge = "x".repeat(BATCH_BYTES * 2);
        let ops = vec![flow(1, "n"), flow(2, &huge), flow(3, "n")];
        assert_eq!(sizes(&emitter(|_| true).messages(ops)), [1, 1, 1]);
    }

    #[test]
    fn a_row_carries_every_selected_column_and_no_other() {
        let messages = emitter(|name| name != "tags").messages(vec![flow(7, "n")]);
        let Some(Operation::Records(records)) = &messages[0].operation else {
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

    #[test]
    fn instants_before_1970_keep_their_fraction_positive() {
        let instant = DateTime::from_timestamp_micros(-1).expect("in range");
        assert_eq!(
            inner(Value::UtcDatetime(instant)),
            Inner::UtcDatetime(Timestamp {
                seconds: -1,
                nanos: 999_999_000
            })
        );
    }
}
