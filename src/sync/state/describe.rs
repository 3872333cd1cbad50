//! Descriptions of a whole state, and of the differences between two states.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{State, table_state::TableState};
use crate::{
    rows::hash_name,
    sync::{
        describe::{Field, time},
        strategies::ReaderState,
    },
    tables,
};

/// The description of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    /// The version of the state's format, as it is written now.
    pub version: u32,
    /// The identity of the workspace.
    pub workspace: String,
    /// The server's time at the last response.
    pub server_time: Option<DateTime<Utc>>,
    /// The server's release.
    pub server_version: Option<String>,
    /// Tables that the server does not have.
    pub absent: Vec<String>,
    /// The size of the state, in bytes.
    pub bytes: usize,
    /// The tables, by name.
    pub tables: Vec<DescribedTable>,
}

/// The description of one table's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DescribedTable {
    /// The table.
    pub table: String,
    /// The strategy of the table, such as `runs`.
    pub strategy: String,
    /// The time up to which the table was read, if it is read by time.
    pub read_up_to: Option<DateTime<Utc>>,
    /// The size of the table's entry in the state, in bytes.
    pub bytes: usize,
    /// The number of the table's columns that were sent.
    pub columns: usize,
    /// Columns that were not sent.
    pub columns_left_out: Vec<String>,
    /// All other facts.
    pub facts: Vec<Field>,
}

/// One difference between two states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateDifference {
    /// The table; `None` for a difference of the whole state.
    pub table: Option<String>,
    /// The subject of the difference.
    pub what: String,
    /// The value in the first state; `None` if it has none.
    pub before: Option<String>,
    /// The value in the second state; `None` if it has none.
    pub after: Option<String>,
}

impl State {
    /// Returns the description of the state.
    pub fn describe(&self) -> Described {
        Described {
            version: self.version,
            workspace: self.workspace.clone(),
            server_time: self.now,
            server_version: self.version_of_server.clone(),
            absent: self.absent.iter().cloned().collect(),
            bytes: size(self),
            tables: self
                .tables
                .iter()
                .map(|(name, state)| state.describe(name))
                .collect(),
        }
    }

    /// Returns the differences between this state and `after`. A difference that no description shows is reported as
    /// such.
    pub fn differences(&self, after: &Self) -> Vec<StateDifference> {
        let mut differences = Vec::new();
        let (one, two) = (self.describe(), after.describe());
        add(&mut differences, None, &one.facts(), &two.facts());
        let of = |state: &'_ Described, name: &str| {
            let mut tables = state.tables.iter();
            tables.find(|table| table.table == name).cloned()
        };
        let names = self.tables.keys().chain(after.tables.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        for name in names {
            let (before, now) = (of(&one, name), of(&two, name));
            let facts =
                |table: Option<DescribedTable>| table.map(|it| it.facts()).unwrap_or_default();
            let reported = differences.len();
            add(&mut differences, Some(name), &facts(before), &facts(now));
            if reported == differences.len() && self.tables.get(name) != after.tables.get(name) {
                differences.push(StateDifference {
                    table: Some(name.clone()),
                    what: "remembered ids or fingerprints".to_owned(),
                    before: None,
                    after: Some("different ones, the same number".to_owned()),
                });
            }
        }
        differences
    }
}

impl TableState {
    fn describe(&self, name: &str) -> DescribedTable {
        let facts = self.reader().describe();
        let sent = |column: &str| {
            let hash = hash_name(column);
            let mut hashes = self.columns().as_bytes().chunks(6);
            hashes.any(|sent| sent == hash.as_bytes())
        };
        let columns = tables::find(name)
            .map(|table| table.columns)
            .unwrap_or_default();
        let left_out = columns.iter().map(|column| column.name);
        DescribedTable {
            table: name.to_owned(),
            strategy: self.reader().strategy().to_owned(),
            read_up_to: facts.read_up_to,
            bytes: size(self),
            columns: self.columns().len() / 6,
            columns_left_out: left_out
                .filter(|column| !sent(column))
                .map(str::to_owned)
                .collect(),
            facts: facts.list,
        }
    }
}

impl ReaderState {
    fn strategy(&self) -> &'static str {
        match self {
            Self::Snapshot(_) => "snapshot",
            Self::NewestFirst(_) => "newest first",
            Self::Runs(_) => "runs",
            Self::Feed(_) => "append-only",
            Self::HeldBy(_) => "part",
        }
    }
}

impl Described {
    /// Returns the facts about the whole state, without its size, which differs whenever anything does.
    pub fn facts(&self) -> Vec<Field> {
        let fact = |what: &str, said: String| Field {
            what: what.to_owned(),
            said,
        };
        let mut facts = vec![fact("workspace", self.workspace.clone())];
        facts.extend(self.server_version.clone().map(|it| fact("server", it)));
        facts.extend(self.server_time.map(|at| fact("server's clock", time(at))));
        if !self.absent.is_empty() {
            facts.push(fact("not on the server", self.absent.join(", ")));
        }
        facts
    }
}

impl DescribedTable {
    /// Returns all facts about the table, its columns included.
    pub fn facts(&self) -> Vec<Field> {
        let said = match self.columns_left_out.as_slice() {
            [] => format!("all {}", self.columns),
            left_out => format!("{}, without {}", self.columns, left_out.join(", ")),
        };
        let what = "columns sent".to_owned();
        let mut facts = self.facts.clone();
        facts.push(Field { what, said });
        facts
    }
}

fn add(to: &mut Vec<StateDifference>, table: Option<&String>, one: &[Field], two: &[Field]) {
    let of = |facts: &[Field], what: &str| {
        let mut facts = facts.iter();
        facts
            .find(|fact| fact.what == what)
            .map(|fact| fact.said.clone())
    };
    let new = two.iter().filter(|fact| of(one, &fact.what).is_none());
    for fact in one.iter().chain(new) {
        let (before, after) = (of(one, &fact.what), of(two, &fact.what));
        if before != after {
            to.push(StateDifference {
                table: table.cloned(),
                what: fact.what.clone(),
                before,
                after,
            });
        }
    }
}

/// Returns the size of a part of the state, in bytes.
fn size(part: &impl Serialize) -> usize {
    serde_json::to_string(part).map_or(0, |text| text.len())
}
