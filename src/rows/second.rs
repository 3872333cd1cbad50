//! Rows built from a table's second listing, which shows the same objects in another form.

use chrono::SecondsFormat;
use serde_json::{Map, Value};

use super::{Context, PageReader, Row, ValueRef};
use crate::tables::{Column, Listing, Second, Source, Strategy, Table};

/// Builds a table's rows from rows of its second listing.
#[derive(Debug, Clone)]
pub struct SecondRows {
    reader: PageReader,
    second: Second,
    /// The fields that both tables have, with the positions of their columns in the other table.
    fields: Vec<(&'static str, usize)>,
    /// The field that holds the name without its prefix.
    rest: &'static str,
    /// The position of the other table's column with the names.
    name: usize,
}

impl SecondRows {
    /// Creates a builder for `table`. Returns `None` if the table has no second listing.
    pub fn new(table: &'static Table, context: &Context) -> Option<Self> {
        let Strategy::Snapshot(Listing {
            second: Some(second),
            ..
        }) = table.strategy
        else {
            return None;
        };
        let shared = |column: &Column| {
            let at = second.table.position(column.name)?;
            let other = second.table.columns.get(at)?;
            let is_same = other.kind == column.kind;
            Some((field(column).filter(|_| is_same)?, at))
        };
        let rest = table.columns.get(table.position(second.column)?)?;
        Some(Self {
            reader: PageReader::new(table, context),
            second,
            fields: table.columns.iter().filter_map(shared).collect(),
            rest: field(rest)?,
            name: second.table.position(second.name)?,
        })
    }

    /// The table to which the second listing belongs.
    pub fn source(&self) -> &'static Table {
        self.second.table
    }

    /// Converts `row` into a row of the table, without the fields that only the table's own listing has. Returns
    /// `None` for an object of another kind.
    pub fn convert(&self, row: &Row) -> Option<Row> {
        let name = row.text(self.name)?;
        let rest = name.strip_prefix(self.second.prefix)?;
        let value = row.by_position();
        let fields = self.fields.iter();
        let shared = fields.map(|(field, at)| ((*field).to_owned(), json(value(*at))));
        let mut object: Map<String, Value> = shared.collect();
        object.insert(self.rest.to_owned(), rest.into());
        let list = Value::Array(vec![object.into()]);
        self.reader.read(list.to_string()).ok()?.rows.pop()
    }
}

/// The field from which a column is read.
fn field(column: &Column) -> Option<&'static str> {
    match column.source {
        Source::Json(paths) => paths.first().copied(),
        Source::Workspace | Source::Unmapped => None,
    }
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::String(text) => text.into(),
        ValueRef::Boolean(yes) => yes.into(),
        ValueRef::Long(number) => number.into(),
        ValueRef::Double(number) => number.into(),
        ValueRef::UtcDatetime(at) => at.to_rfc3339_opts(SecondsFormat::Micros, true).into(),
        ValueRef::Json(text) => serde_json::from_str(text).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rows::fingerprint, tables};

    const OWN: &str = r#"{"id":"36c28b55-1560-4781-b6f3-2f76e5c18e8c","created":"2026-11-21T00:03:18.593511Z","updated":"2026-11-21T00:03:18.593543Z","tag":"db","concurrency_limit":3,"active_slots":["6c24a543-89f8-4c70-9708-ad54f1ccad0f"]}"#;
    const OTHER: &str = r#"{"id":"36c28b55-1560-4781-b6f3-2f76e5c18e8c","created":"2026-11-21T00:03:18.593511Z","updated":"2026-11-21T00:04:00Z","active":true,"name":"tag:db","limit":3,"active_slots":1,"slot_decay_per_second":0.0,"denied_slots":0,"avg_slot_occupancy_seconds":2.0}"#;

    fn rows() -> (Row, SecondRows) {
        let table = tables::find("concurrency_limits").expect("a table");
        let context = Context {
            workspace_id: Some("w".to_owned()),
        };
        let own = Row::parse(table, OWN, &context).expect("a row");
        let second = SecondRows::new(table, &context).expect("it has a second listing");
        (own, second)
    }

    fn other(text: &str) -> Row {
        let table = tables::find("global_concurrency_limits").expect("a table");
        Row::parse(table, text, &Context::default()).expect("a row")
    }

    #[test]
    fn both_listings_give_the_same_fingerprint() {
        let (own, second) = rows();
        let made = second.convert(&other(OTHER)).expect("a limit of a tag");
        assert_eq!(made.id(), own.id());
        assert_eq!(fingerprint(&made), fingerprint(&own));
        for (from, to) in [("tag:db", "tag:dbx"), (r#""limit":3"#, r#""limit":4"#)] {
            let made = second.convert(&other(&OTHER.replace(from, to)));
            let made = made.expect("a limit of a tag");
            assert_ne!(fingerprint(&made), fingerprint(&own), "{to}");
        }
    }

    #[test]
    fn objects_of_other_kinds_give_no_row() {
        let (_, second) = rows();
        for name in ["deployment:1", "db", "tag"] {
            assert!(
                second
                    .convert(&other(&OTHER.replace("tag:db", name)))
                    .is_none()
            );
        }
    }
}
