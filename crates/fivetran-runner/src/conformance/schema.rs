//! Checks of the setup form and of the declared schema.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    finding_log::{FindingLocation, FindingLog},
    model::TableId,
    names, rules,
};
use fivetran_proto::{
    ConfigurationFormResponse, DataType, DataTypeParams, FormField, Table, form_field::Type,
};

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
        list: super::super::warehouse::Tables,
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
            let lands_as = (id.schema.clone(), names::landed(&table.name, true));
            collision(
                landed.insert(lands_as, table.name.clone()),
                &table.name,
                &at,
                finding_log,
            );
            let declared = columns(&table, &at, finding_log);
            self.tables.insert(id, declared);
        }
    }
}

fn columns(table: &Table, at: &FindingLocation, finding_log: &mut FindingLog) -> Declared {
    let mut declared = Declared::default();
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
        if column.primary_key {
            declared.key.push(column.name.clone());
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

/// Checks the setup form.
pub(super) fn examine_form(form: &ConfigurationFormResponse, finding_log: &mut FindingLog) {
    let at = |name: &str| FindingLocation::call("ConfigurationForm").column(name);
    let mut seen = BTreeSet::new();
    let mut conditions = BTreeSet::new();
    let mut fields: Vec<&FormField> = form.fields.iter().rev().collect();
    while let Some(field) = fields.pop() {
        let name = field.name.as_str();
        let mut note = |text: &str| finding_log.add(&rules::FORM_MALFORMED, at(name), text);
        let is_group = matches!(field.r#type, Some(Type::ConditionalFields(_)));
        // A group has no value, so it needs no name.
        if name.is_empty() && !is_group {
            note("a field has no name");
        } else if !name.is_empty() && !seen.insert(name) {
            note("two fields have this name");
        }
        match &field.r#type {
            None => note("a field has no type"),
            Some(Type::ConditionalFields(group)) => {
                if let Some(condition) = &group.condition {
                    conditions.insert(condition.condition_field.as_str());
                }
                fields.extend(group.fields.iter().rev());
            }
            Some(Type::UploadField(file))
                if file.allowed_file_type.iter().any(|it| !it.starts_with('.')) =>
            {
                note("an extension does not start with a dot");
            }
            Some(_) => {}
        }
    }
    for condition in conditions.difference(&seen) {
        let text = "a condition names a field that the form does not have";
        finding_log.add(&rules::FORM_MALFORMED, at(condition), text);
    }
    let mut tests = BTreeSet::new();
    for test in &form.tests {
        if test.name.is_empty() || !tests.insert(&test.name) {
            let text = "a test has no unique name";
            finding_log.add(&rules::FORM_MALFORMED, at(&test.name), text);
        }
    }
}
