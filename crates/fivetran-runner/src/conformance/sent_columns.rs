//! The columns that a connector has sent, compared with those that it declares.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    finding_log::{FindingLocation, FindingLog},
    model::TableId,
    names, rules,
    schema::Declared,
};

/// The columns of all records so far, and the declared columns that upserts omitted.
#[derive(Default)]
pub(super) struct SentColumns {
    tables: HashMap<TableId, HashSet<String>>,
    omitted: BTreeMap<(TableId, String), Omission>,
}

/// The first upsert that omitted a column, and the number of them.
struct Omission {
    place: FindingLocation,
    times: u64,
}

impl SentColumns {
    /// Adds the column of a record. A new one must not get the name of another one in the destination.
    pub(super) fn add(
        &mut self,
        table: &TableId,
        column: &str,
        declared: &Declared,
        place: impl FnOnce() -> FindingLocation,
        finding_log: &mut FindingLog,
    ) {
        let sent = if let Some(sent) = self.tables.get_mut(table) {
            sent
        } else {
            self.tables.entry(table.clone()).or_default()
        };
        if sent.contains(column) {
            return;
        }
        // Declared columns were compared with each other when they were declared.
        if !declared.columns.contains_key(column) {
            let landed = names::landed(column, false);
            let known = declared.columns.keys().chain(sent.iter());
            let other = known
                .filter(|other| names::landed(other, false) == landed)
                .min();
            if let Some(other) = other {
                let text = format!("`{other}` and `{column}` get the same name in the destination");
                finding_log.add(&rules::NAME_COLLISION, place(), text);
            }
        }
        sent.insert(column.to_owned());
    }

    /// Records that an upsert omits a declared column.
    pub(super) fn omit(&mut self, table: &TableId, column: &str, place: FindingLocation) {
        let key = (table.clone(), column.to_owned());
        let omission = self
            .omitted
            .entry(key)
            .or_insert(Omission { place, times: 0 });
        omission.times += 1;
    }

    /// Reports the omitted columns, once all syncs are over.
    pub(super) fn report(&self, finding_log: &mut FindingLog) {
        for ((table, column), Omission { place, times }) in &self.omitted {
            let sent = self.tables.get(table);
            let (rule, text) = if sent.is_some_and(|sent| sent.contains(column)) {
                (
                    &rules::UPSERT_INCOMPLETE,
                    "an upsert omits the column, so it becomes null",
                )
            } else {
                (&rules::COLUMN_UNSENT, "all upserts omit the column")
            };
            finding_log.add_many(rule, place.clone(), text, *times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::schema::Column;
    use fivetran_proto::DataType;

    #[test]
    fn an_undeclared_column_must_not_get_the_name_of_another_one() {
        let column = Column {
            kind: DataType::String,
            params: None,
            key: false,
        };
        let declared = Declared {
            columns: BTreeMap::from([("user_name".to_owned(), column)]),
            key: Vec::new(),
        };
        let table = TableId {
            schema: None,
            table: "users".to_owned(),
        };
        let collisions = |columns: &[&str]| {
            let mut finding_log = FindingLog::default();
            let mut sent = SentColumns::default();
            for column in columns {
                let place = || FindingLocation::call("sync").column(column);
                sent.add(&table, column, &declared, place, &mut finding_log);
            }
            let list = finding_log.list().into_iter();
            list.map(|it| (it.text, it.times)).collect::<Vec<_>>()
        };
        assert_eq!(collisions(&["user_name", "extra", "user_name"]), []);
        let text = "`user_name` and `userName` get the same name in the destination".to_owned();
        assert_eq!(collisions(&["userName", "userName"]), [(text, 1)]);
        let text = "`ID` and `id` get the same name in the destination".to_owned();
        assert_eq!(collisions(&["ID", "id"]), [(text, 1)]);
    }
}
