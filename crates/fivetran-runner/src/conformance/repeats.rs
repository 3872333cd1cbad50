//! Keys that belong to several rows of one sync. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    finding_log::{FindingLocation, FindingLog},
    model::{Catalogue, Journal, Key, Row, RowOperation, columns},
    rules,
};

/// The upserts of one key that replaced a row of the same sync with other values.
#[derive(Default)]
struct Repeat {
    upserts: u64,
    /// The columns in which the rows differ, by number.
    columns: BTreeSet<usize>,
}

/// The repeated keys of a table, by key.
type Repeats = BTreeMap<Key, Repeat>;

/// Returns the repeated keys of a sync that started without a state, by table.
fn repeats(journal: &Journal) -> BTreeMap<usize, Repeats> {
    let mut found: BTreeMap<usize, Repeats> = BTreeMap::new();
    let mut last: HashMap<usize, HashMap<&Key, &Row>> = HashMap::new();
    for op in &journal.ops {
        let rows = last.entry(op.table).or_default();
        match &op.operation {
            RowOperation::Upsert(row) => {
                if let Some(before) = rows.insert(&op.key, row)
                    && before != row
                {
                    let keys = found.entry(op.table).or_default();
                    let repeat = keys.entry(op.key.clone()).or_default();
                    repeat.upserts += 1;
                    repeat.columns.extend(columns(before, row));
                }
            }
            RowOperation::Delete | RowOperation::Update(_) => {
                rows.remove(&op.key);
            }
            RowOperation::Truncate => rows.clear(),
        }
    }
    found
}

/// Reports the keys that are repeated in both of two full syncs. A row that changes at the source while it is read is
/// repeated in only one of them.
pub(super) fn report_repeats(
    sync: &str,
    first: &Journal,
    last: &Journal,
    catalogue: &Catalogue,
    finding_log: &mut FindingLog,
) {
    let mut last = repeats(last);
    for (table, mut keys) in repeats(first) {
        let again = last.remove(&table).unwrap_or_default();
        keys.retain(|key, _| again.contains_key(key));
        let Some(key) = keys.keys().next() else {
            continue;
        };
        let upserts: u64 = keys.values().map(|repeat| repeat.upserts).sum();
        let columns: BTreeSet<&str> = keys
            .values()
            .flat_map(|repeat| &repeat.columns)
            .map(|column| catalogue.columns.get(*column).as_str())
            .collect();
        let columns: Vec<&str> = columns.into_iter().collect();
        let landed = keys.len() as u64;
        let text = format!(
            "{} different rows land as {landed}, because keys are repeated; they differ in {}",
            upserts + landed,
            columns.join(", "),
        );
        let place = FindingLocation::call(sync).table(catalogue.tables.get(table));
        finding_log.add_many(&rules::KEY_REPEATED, place.key(key), text, upserts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::model::{
        Op, TableId,
        examples::{op, upsert},
    };

    fn reported(first: Vec<Op>, last: Vec<Op>) -> Vec<(String, u64)> {
        let mut catalogue = Catalogue::default();
        catalogue.tables.assign(&TableId {
            schema: None,
            table: "payments".to_owned(),
        });
        for column in ["id", "name"] {
            catalogue.columns.assign(&column.to_owned());
        }
        let journal = |ops| Journal {
            ops,
            checkpoints: Vec::new(),
        };
        let mut finding_log = FindingLog::default();
        let (first, last) = (journal(first), journal(last));
        report_repeats("sync", &first, &last, &catalogue, &mut finding_log);
        let findings = finding_log.list().into_iter();
        findings.map(|it| (it.text, it.times)).collect()
    }

    #[test]
    fn a_key_of_several_rows_is_reported_with_counts() {
        let ops = || {
            vec![
                upsert("a", 1),
                upsert("b", 1),
                upsert("a", 2),
                upsert("a", 3),
            ]
        };
        let text = "3 different rows land as 1, because keys are repeated; they differ in name";
        assert_eq!(reported(ops(), ops()), [(text.to_owned(), 2)]);
    }

    #[test]
    fn equal_rows_and_rows_that_change_once_are_not_reported() {
        let equal = || vec![upsert("a", 1), upsert("a", 1)];
        assert_eq!(reported(equal(), equal()), []);
        let changed = vec![upsert("a", 1), upsert("a", 2)];
        assert_eq!(reported(changed, vec![upsert("a", 2)]), []);
        let deleted = || {
            vec![
                upsert("a", 1),
                op("a", RowOperation::Delete),
                upsert("a", 2),
                op("", RowOperation::Truncate),
                upsert("a", 3),
            ]
        };
        assert_eq!(reported(deleted(), deleted()), []);
    }
}
