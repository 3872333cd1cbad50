//! Functions that several targets share.

use fivetran_source::{
    fivetran::{
        MessageEncoder,
        proto::{self, update_response::Operation, value_type::Inner},
    },
    rows::{Context, ParsedPage, Row, ValueRef, fingerprint},
    sync::{Op, SelectedTable, Selection},
    tables::{self, Table},
};
use prost::Message as _;

/// Returns a context with or without a workspace of Prefect Cloud.
pub fn context(is_cloud: bool) -> Context {
    Context {
        workspace_id: is_cloud.then(|| "here".to_owned()),
    }
}

/// Returns a selection of all tables and columns.
pub fn everything() -> Selection {
    let tables = tables::ALL.iter().map(|table| SelectedTable::all(table));
    Selection {
        tables: tables.collect(),
    }
}

/// Checks everything that a page's rows provide, and encodes the rows.
pub fn ask_everything(table: &'static Table, page: ParsedPage) {
    assert_eq!(page.objects(), page.rows.len() + page.bad.len());
    for row in &page.rows {
        assert!(!row.id().is_empty());
        assert_eq!(row.values().len(), table.columns.len());
        assert_eq!(row.text(0).as_deref(), Some(row.id()));
        for (at, value) in row.values().enumerate() {
            assert_eq!(row.value(at), value);
            if let ValueRef::UtcDatetime(instant) = value {
                assert_eq!(row.instant(at), Some(instant));
            }
        }
        assert!(row.undeclared().is_sorted());
        assert!(
            row.misfits()
                .iter()
                .all(|name| table.position(name).is_some())
        );
        assert_eq!(fingerprint(row), fingerprint(&row.clone()));
    }
    is_encoded(table, page.rows);
}

/// Encodes rows and compares the result with them.
fn is_encoded(table: &'static Table, rows: Vec<Row>) {
    let ops = rows.iter().cloned().map(|row| Op::Upsert {
        table: table.name,
        row,
    });
    let messages = MessageEncoder::new(&everything()).messages(ops.collect());
    let mut records = Vec::new();
    for message in messages {
        let message = proto::UpdateResponse::decode(&*message.encode_to_vec());
        match message.expect("a message").operation.expect("an operation") {
            Operation::Records(batch) => records.extend(batch.records),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(records.len(), rows.len());
    for (record, row) in records.iter().zip(&rows) {
        assert_eq!(record.table_name, table.name);
        assert_eq!(record.data.len(), table.columns.len());
        for (column, value) in table.columns.iter().zip(row.values()) {
            let sent = record.data[column.name].inner.as_ref();
            let is_same = match (sent.expect("a value"), value) {
                (Inner::Null(true), ValueRef::Null) => true,
                (Inner::String(sent), ValueRef::String(value))
                | (Inner::Json(sent), ValueRef::Json(value)) => sent == value,
                (Inner::Bool(sent), ValueRef::Boolean(value)) => *sent == value,
                (Inner::Long(sent), ValueRef::Long(value)) => *sent == value,
                (Inner::Double(sent), ValueRef::Double(value)) => sent.to_bits() == value.to_bits(),
                (Inner::UtcDatetime(sent), ValueRef::UtcDatetime(value)) => {
                    is_timestamp(sent)
                        && sent.seconds == value.timestamp()
                        && i64::from(sent.nanos) == i64::from(value.timestamp_subsec_nanos())
                }
                _ => false,
            };
            assert!(
                is_same,
                "{}.{}: {sent:?}, {value:?}",
                table.name, column.name
            );
        }
    }
}

/// Returns true if protobuf allows the timestamp: years 1 to 9999, nanoseconds below a second.
pub fn is_timestamp(timestamp: &prost_types::Timestamp) -> bool {
    (-62_135_596_800..=253_402_300_799).contains(&timestamp.seconds)
        && (0..1_000_000_000).contains(&timestamp.nanos)
}
