//! Checks of the declared schema.

use std::collections::{BTreeMap, HashMap};

use super::{
    finding_log::{FindingLocation, FindingLog},
    model::TableId,
    names, rules,
};
use crate::warehouse;
use fivetran_proto::{DataType, DataTypeParams, Table};

/// A declared column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) kind: DataType,
    pub(super) params: Option<DataTypeParams>,
    pub(super) key: bool,
}

/// A declared table.
#[derive(Debug, Clone, Default)]
pub(super) struct Declared {
    pub(super) columns: BTreeMap<String, Column>,
    /// The key's columns, in the order of the declaration.
    pub(super) key: Vec<String>,
}

impl Declared {
    /// Returns true if columns outside the key are declared.
    pub(super) fn is_whole(&self) -> bool {
        self.columns.values().any(|column| !column.key)
    }
}

/// The tables that a connector declares.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub(super) tables: BTreeMap<TableId, Declared>,
    /// True if the connector has declared tables at all.
    pub(super) is_known: bool,
}

impl Tables {
    /// Adds and checks the tables of a schema or of a schema change.
    pub(super) fn declare(
        &mut self,
        list: warehouse::Tables,
        place: &FindingLocation,
        finding_log: &mut FindingLog,
    ) {
        self.is_known = true;
        let mut landed: HashMap<(Option<String>, String), String> = HashMap::new();
        for (schema, table) in list {
            let id = TableId {
                schema,
                table: table.name.clone(),
            };
            let at = place.clone().table(&id);
            name(&table.name, true, &at, finding_log);
            let schema = id.schema.as_deref().map(|it| names::landed(it, false));
            let lands_as = (schema, names::landed(&table.name, true));
            let name = if table.name.is_empty() {
                ""
            } else {
                &id.to_string()
            };
            let other = landed.insert(lands_as, name.to_owned());
            collision(other, name, &at, finding_log);
            let mut declared = columns(&table, &at, finding_log);
            if let Some(known) = self.tables.get(&id)
                && key_changed(&known.key, &declared.key, &at, finding_log)
            {
                // The rows so far were read with this order.
                let place = |name: &String| known.key.iter().position(|it| it == name);
                declared
                    .key
                    .sort_by_key(|name| place(name).unwrap_or(usize::MAX));
            }
            self.tables.insert(id, declared);
        }
    }

    /// Compares the keys of a later schema with those that are known.
    pub(super) fn compare_keys(
        &self,
        list: &warehouse::Tables,
        place: &FindingLocation,
        finding_log: &mut FindingLog,
    ) {
        for (schema, table) in list {
            let id = TableId {
                schema: schema.clone(),
                table: table.name.clone(),
            };
            if let Some(known) = self.tables.get(&id) {
                let key: Vec<String> = key_of(table).map(str::to_owned).collect();
                key_changed(&known.key, &key, &place.clone().table(&id), finding_log);
            }
        }
    }
}

/// The columns of a table's key, in the order of the declaration.
fn key_of(table: &Table) -> impl Iterator<Item = &str> {
    let key = table.columns.iter().filter(|column| column.primary_key);
    key.map(|column| column.name.as_str())
}

/// Reports a key that differs from the known one. Returns true if it does.
fn key_changed(
    known: &[String],
    key: &[String],
    at: &FindingLocation,
    finding_log: &mut FindingLog,
) -> bool {
    let is_changed = known != key;
    if is_changed {
        let text = format!(
            "the key was ({}) and is now ({})",
            known.join(", "),
            key.join(", ")
        );
        finding_log.add(&rules::KEY_UNSTABLE, at.clone(), text);
    }
    is_changed
}

fn columns(table: &Table, at: &FindingLocation, finding_log: &mut FindingLog) -> Declared {
    let mut declared = Declared {
        key: key_of(table).map(str::to_owned).collect(),
        ..Declared::default()
    };
    let mut landed: HashMap<String, String> = HashMap::new();
    for column in &table.columns {
        let at = at.clone().column(&column.name);
        if names::is_reserved(&column.name) {
            let text = "the schema declares a column that is reserved for the platform";
            finding_log.add(&rules::NAME_RESERVED, at.clone(), text);
        } else {
            name(&column.name, false, &at, finding_log);
        }
        let lands_as = names::landed(&column.name, false);
        collision(
            landed.insert(lands_as, column.name.clone()),
            &column.name,
            &at,
            finding_log,
        );
        let kind = DataType::try_from(column.r#type);
        if matches!(kind, Err(_) | Ok(DataType::NaiveTime)) {
            let kind = kind.map_or("not a type of the protocol", |kind| kind.as_str_name());
            let text = format!("the column's type is {kind}");
            finding_log.add(&rules::TYPE_UNSUPPORTED, at, text);
        }
        let column_of = Column {
            kind: kind.unwrap_or_default(),
            params: column.params,
            key: column.primary_key,
        };
        declared.columns.insert(column.name.clone(), column_of);
    }
    if declared.key.is_empty() {
        let text = "no column is declared as part of the primary key";
        finding_log.add(&rules::TABLE_WITHOUT_KEY, at.clone(), text);
    }
    declared
}

fn name(name: &str, is_table: bool, at: &FindingLocation, finding_log: &mut FindingLog) {
    let landed = names::landed(name, is_table);
    if landed != name {
        let text = format!("`{name}` is renamed to `{landed}` in the destination");
        finding_log.add(&rules::NAME_REWRITTEN, at.clone(), text);
    }
    if names::is_sql_word(name) {
        let text = format!("`{name}` is a reserved word");
        finding_log.add(&rules::NAME_SQL_WORD, at.clone(), text);
    }
}

fn collision(
    other: Option<String>,
    name: &str,
    at: &FindingLocation,
    finding_log: &mut FindingLog,
) {
    let text = match other {
        _ if name.is_empty() => "the name is empty".to_owned(),
        None => return,
        Some(other) if other == name => "it is declared twice".to_owned(),
        Some(other) => format!("`{other}` and `{name}` get the same name in the destination"),
    };
    finding_log.add(&rules::NAME_COLLISION, at.clone(), text);
}
