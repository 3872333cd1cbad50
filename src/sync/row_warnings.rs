//! Facts about a table's rows that the user should know, counted during the sync and reported at its end.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::sent_fingerprints::CLOCK_SKEW_MARGIN;
use crate::{
    messages,
    rows::{BadRow, Row},
    tables::Table,
};

/// The number of names of undeclared fields that are reported; the others are only counted.
const NAMES: usize = 10;

/// The counts for the tables of one reading in one sync.
#[derive(Debug, Default)]
pub(super) struct RowWarnings(BTreeMap<&'static str, TableWarnings>);

impl RowWarnings {
    pub(super) fn bad_row(&mut self, table: &'static Table, why: BadRow) {
        self.0.entry(table.name).or_default().bad_row(why);
    }

    /// Counts the problems of a row that is sent, by the server's time `now`.
    pub(super) fn row(&mut self, row: &Row, now: DateTime<Utc>) {
        self.0.entry(row.table().name).or_default().row(row, now);
    }

    /// Returns one sentence for each kind of problem that rows had.
    pub(super) fn sentences(&self) -> Vec<String> {
        self.0
            .iter()
            .flat_map(|(table, notes)| notes.sentences(table))
            .collect()
    }
}

/// The counts for one table, by names of fields and columns, never by values.
#[derive(Debug, Default)]
struct TableWarnings {
    bad_rows: BTreeMap<String, u64>,
    misfits: BTreeMap<&'static str, u64>,
    undeclared: BTreeMap<String, u64>,
    more_undeclared: u64,
    ahead: u64,
}

impl TableWarnings {
    fn bad_row(&mut self, why: BadRow) {
        *self.bad_rows.entry(why.to_string()).or_default() += 1;
    }

    fn row(&mut self, row: &Row, now: DateTime<Utc>) {
        for column in row.misfits() {
            *self.misfits.entry(column).or_default() += 1;
        }
        let updated = row.table().position("updated");
        let updated = updated.and_then(|position| row.instant(position));
        if updated.is_some_and(|updated| updated > now + CLOCK_SKEW_MARGIN) {
            self.ahead += 1;
        }
        for field in row.undeclared() {
            if let Some(count) = self.undeclared.get_mut(field) {
                *count += 1;
            } else if self.undeclared.len() < NAMES {
                self.undeclared.insert(field.clone(), 1);
            } else {
                self.more_undeclared += 1;
            }
        }
    }

    fn sentences(&self, table: &str) -> Vec<String> {
        let mut sentences = Vec::new();
        for (why, count) in &self.bad_rows {
            sentences.push(messages::BAD_OBJECTS.format(format_args!(
                "table {table}: {count} object(s) in Prefect's responses were skipped: {why}"
            )));
        }
        for (column, count) in &self.misfits {
            sentences.push(messages::MISFITS.format(format_args!(
                "table {table}: {count} value(s) do not fit the type of column {column}; they are kept in column unmapped"
            )));
        }
        for (field, count) in &self.undeclared {
            sentences.push(messages::UNDECLARED.format(format_args!(
                "table {table}: field {} has no column; its {count} value(s) are kept in column unmapped",
                field.escape_debug()
            )));
        }
        if self.more_undeclared > 0 {
            sentences.push(messages::UNDECLARED.format(format_args!(
                "table {table}: {} value(s) of further fields without a column are kept in column unmapped",
                self.more_undeclared
            )));
        }
        if self.ahead > 0 {
            sentences.push(messages::CLOCKS_DIFFER.format(format_args!(
                "table {table}: {} row(s) were updated later than the server's current time; changes are found reliably only if the clocks of Prefect's API and of its database agree within two minutes",
                self.ahead
            )));
        }
        sentences
    }
}
