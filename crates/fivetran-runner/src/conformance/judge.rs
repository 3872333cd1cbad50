//! Judges the differences between syncs. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    finding_log::{FindingLocation, FindingLog},
    model::{AffectedRows, Catalogue, Journal, Key, Kind, Model, ModelDifference, RowOperation},
    report::Changed,
    rules::{self, Rule},
};

/// The differences of a sync from the expected rows, judged once the changes of the source itself are known.
pub(super) struct Pending {
    pub(super) sync: String,
    pub(super) differences: Vec<ModelDifference>,
    pub(super) about: SyncPurpose,
}

/// The purpose of a sync.
pub(super) enum SyncPurpose {
    /// The sync starts where another one ended.
    Rerun,
    /// The sync resumed from a checkpoint and sent these rows.
    Resumed(AffectedRows),
    /// The sync had a selection.
    Selected,
    /// The sync resumed from a state of the old version and sent these rows.
    Upgraded {
        sent: AffectedRows,
        /// The columns that only the new version has, each with its table.
        added: HashSet<(usize, usize)>,
    },
}

/// The differences between two full syncs: values that changed at the source in between, or that differ at each read.
#[derive(Default)]
pub(super) struct SourceChanges {
    rows: HashSet<(usize, Key)>,
    columns: HashSet<(usize, Key, usize)>,
}

impl SourceChanges {
    pub(super) fn between(first: &Model, last: &Model) -> Self {
        let mut source_changes = Self::default();
        for ModelDifference { table, key, kind } in last.differences(first) {
            match kind {
                Kind::Column(column) => {
                    source_changes.columns.insert((table, key, column));
                }
                Kind::Missing | Kind::Extra => {
                    source_changes.rows.insert((table, key));
                }
            }
        }
        source_changes
    }

    fn explains(&self, difference: &ModelDifference) -> bool {
        let ModelDifference { table, key, kind } = difference;
        let row = (*table, key.clone());
        self.rows.contains(&row)
            || matches!(kind, Kind::Column(column) if self.columns.contains(&(row.0, row.1, *column)))
    }

    /// Returns the same as a list for the report.
    pub(super) fn changes(&self, catalogue: &Catalogue) -> Vec<Changed> {
        let mut rows: BTreeMap<usize, HashSet<&Key>> = BTreeMap::new();
        let mut columns: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (table, key) in &self.rows {
            rows.entry(*table).or_default().insert(key);
        }
        for (table, key, column) in &self.columns {
            rows.entry(*table).or_default().insert(key);
            let names = columns.entry(*table).or_default();
            names.insert(catalogue.columns.get(*column).clone());
        }
        let changes = rows.into_iter().map(|(table, rows)| Changed {
            table: catalogue.tables.get(table).to_string(),
            rows: rows.len() as u64,
            columns: columns
                .remove(&table)
                .unwrap_or_default()
                .into_iter()
                .collect(),
        });
        changes.collect()
    }
}

/// Turns unexplained differences into findings: one for each row, or, after an upgrade, for each column.
pub(super) fn report_unexplained(
    pending: &Pending,
    source_changes: &SourceChanges,
    catalogue: &Catalogue,
    finding_log: &mut FindingLog,
) {
    let is_upgrade = matches!(pending.about, SyncPurpose::Upgraded { .. });
    let mut last = None;
    for difference in &pending.differences {
        let ModelDifference { table, key, kind } = difference;
        let row = Some((*table, key));
        if source_changes.explains(difference) || (last == row && !is_upgrade) {
            continue;
        }
        last = row;
        let (rule, why) = rule_of(&pending.about, difference);
        let name = match kind {
            Kind::Column(column) => Some(catalogue.columns.get(*column)),
            Kind::Missing | Kind::Extra => None,
        };
        let what = match (kind, name) {
            (Kind::Missing, _) => "the row is missing".to_owned(),
            (_, Some(column)) => format!("`{column}` has a different value"),
            (_, None) => "the row is unexpected".to_owned(),
        };
        let table = catalogue.tables.get(*table);
        let mut place = FindingLocation::call(&pending.sync).table(table).key(key);
        if let Some(column) = name.filter(|_| is_upgrade) {
            place = place.column(column);
        }
        finding_log.add(rule, place, format!("{what} {why}"));
    }
}

/// Returns the rule that a difference breaks, and the circumstances.
fn rule_of(about: &SyncPurpose, difference: &ModelDifference) -> (&'static Rule, &'static str) {
    let ModelDifference { table, key, kind } = difference;
    match about {
        SyncPurpose::Rerun => (
            &rules::RERUN_NOT_IDEMPOTENT,
            "after a sync without changes at the source",
        ),
        SyncPurpose::Selected => (
            &rules::SELECTION_DIFFERS,
            "in a sync whose selection does not affect it",
        ),
        SyncPurpose::Resumed(sent) if sent.has(*table, key) => (
            &rules::RESUME_DIFFERS,
            "in the resumed sync, compared with the uninterrupted one",
        ),
        SyncPurpose::Resumed(_) => (
            &rules::CHECKPOINT_AHEAD,
            "because the sync that resumes from the checkpoint does not send what was sent after it",
        ),
        SyncPurpose::Upgraded { added, .. } if matches!(kind, Kind::Column(column) if added.contains(&(*table, *column))) => {
            (
                &rules::UPGRADE_COLUMN_EMPTY,
                "than in a full sync, because the old version sent the row without it",
            )
        }
        SyncPurpose::Upgraded { sent, .. } if sent.has(*table, key) => (
            &rules::UPGRADE_DIFFERS,
            "after the new version sent it, compared with a full sync",
        ),
        SyncPurpose::Upgraded { .. } => (
            &rules::UPGRADE_DIFFERS,
            "compared with a full sync of the new version, which did not send the row again",
        ),
    }
}

/// Finds rows that a second sync sent although they existed already. `expected` are the rows that no checkpoint
/// covers.
pub(super) fn resent(
    sync: &str,
    journal: &Journal,
    before: &Model,
    expected: &AffectedRows,
    differences: &[ModelDifference],
    catalogue: &Catalogue,
    finding_log: &mut FindingLog,
) {
    let changed: HashSet<(usize, &Key)> = differences
        .iter()
        .map(|difference| (difference.table, &difference.key))
        .collect();
    let mut again: HashMap<usize, BTreeSet<&Key>> = HashMap::new();
    for op in &journal.ops {
        let is_row = matches!(
            op.operation,
            RowOperation::Upsert(_) | RowOperation::Update(_)
        );
        let is_due = expected.has(op.table, &op.key) || changed.contains(&(op.table, &op.key));
        if is_row && !is_due {
            again.entry(op.table).or_default().insert(&op.key);
        }
    }
    for (table, keys) in again {
        let all = before.live(table);
        let place = FindingLocation::call(sync).table(catalogue.tables.get(table));
        let place = keys.first().map_or(place.clone(), |key| place.key(key));
        let (rule, text) = if keys.len() >= all {
            (
                &rules::FULL_REFRESH,
                format!("all {all} rows were sent again"),
            )
        } else {
            let text = format!("{} of {all} rows were sent again unchanged", keys.len());
            (&rules::RERUN_RESENDS, text)
        };
        finding_log.add(rule, place, text);
    }
}

/// Returns up to `most` numbers below `count`, spread evenly, including the first and the last.
pub(super) fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    match most {
        0 => Vec::new(),
        1 => vec![0],
        _ => (0..most).map(|at| at * (count - 1) / (most - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_from_the_first_to_the_last() {
        assert_eq!(spread(3, 10), [0, 1, 2]);
        assert_eq!(spread(101, 3), [0, 50, 100]);
        assert_eq!(spread(5, 1), [0]);
        assert_eq!(spread(5, 0), Vec::<usize>::new());
        assert_eq!(spread(0, 5), Vec::<usize>::new());
    }
}
