//! Removal of data from responses that a recording must not contain, before other code reads them. So the recorded
//! sync does not have the data either, and its replay is identical to the byte.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use secret_redactor::Redactor;
use serde_json::{Value, value::RawValue};

use super::{
    error::Error,
    rewrite::{Field, Fields, merge, rewrite},
};
use crate::{
    config::{FORM, FieldKind},
    prefect::RecordedResponse,
    sync::public_settings,
    tables::{self, Column, ColumnType, Feed, Source, Strategy, Table},
};

/// The JSON value in place of removed data.
const REDACTED: &str = "\"redacted\"";
/// The name for all columns whose values users write.
pub const CONTENTS: &str = "contents";
/// Columns of text that users and programs write freely.
const FREE_TEXT: [&str; 6] = [
    "description",
    "message",
    "state_message",
    "entrypoint",
    "path",
    "value",
];
/// The field of the setup form that has no meaning without a network.
const WITHOUT_MEANING: &str = "ca_certificate";

/// The data that is removed.
#[derive(Default)]
pub struct Redaction {
    secrets: Redactor,
    rules: Vec<Rule>,
    columns: Vec<String>,
}

/// The path at which a server issues CSRF tokens.
const CSRF_TOKEN: &str = "/csrf-token";

/// The most sensitive data that was removed from a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No data was removed.
    Nothing,
    /// Fields were removed or replaced.
    Fields,
    /// A secret value of the configuration was replaced.
    Secrets,
}

/// The fields that are removed from the objects of a collection.
struct Rule {
    endpoint: &'static str,
    fields: Fields,
}

impl Redaction {
    /// Creates a redaction of the secrets of a configuration, the fields that no table keeps, and `columns`:
    /// `table.column`, or [`CONTENTS`].
    pub fn new(
        configuration: &BTreeMap<String, String>,
        columns: &[String],
    ) -> Result<Self, Error> {
        let secrets = configuration.iter().filter(|(name, _)| is_secret(name));
        let mut redaction = Self {
            secrets: Redactor::new(secrets.map(|(_, value)| value.as_str())),
            ..Self::default()
        };
        for table in tables::ALL.iter().filter(|table| is_own(table)) {
            let none = table
                .dropped_fields
                .iter()
                .map(|name| (*name, Field::Put("null")));
            redaction.add(table.endpoint, none.collect());
        }
        let mut named = BTreeSet::new();
        for wanted in columns {
            if wanted == CONTENTS {
                for (table, column) in contents() {
                    redaction.add(table.endpoint, fields_of(column));
                    named.insert(format!("{}.{}", table.name, column.name));
                }
            } else {
                let (table, column) = find(wanted)?;
                redaction.add(table.endpoint, fields_of(column));
                named.insert(wanted.clone());
            }
        }
        redaction.columns = named.into_iter().collect();
        Ok(redaction)
    }

    /// Returns the columns that are removed, `table.column`.
    pub fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    /// Returns the values of the setup form that may be recorded, and the names of the secret ones.
    pub(super) fn configuration(
        &self,
        answers: &BTreeMap<String, String>,
    ) -> (BTreeMap<String, String>, Vec<String>) {
        let mut shown = answers.clone();
        shown.remove(WITHOUT_MEANING);
        // An empty secret is none. As a hidden one, a replay would put a placeholder in its place.
        shown.retain(|name, value| !is_secret(name) || !value.trim().is_empty());
        let hidden = shown.keys().filter(|name| is_secret(name)).cloned();
        let hidden: Vec<String> = hidden.collect();
        shown.retain(|name, _| !hidden.contains(name));
        for value in shown.values_mut() {
            if let Cow::Owned(clean) = self.secrets.clean(value) {
                *value = clean;
            }
        }
        (shown, hidden)
    }

    /// Removes the data from a response that must not be recorded, and returns what was removed.
    pub(super) fn clean(&self, target: &str, response: &mut RecordedResponse) -> Found {
        let mut found = Found::Nothing;
        let path = target.split('?').next().unwrap_or_default();
        let cleaned = match path {
            CSRF_TOKEN => Some(r#"{"token":"redacted"}"#.to_owned()),
            "/admin/settings" => serde_json::from_str(&response.body)
                .ok()
                .map(|settings: Value| public_settings(&settings).to_string()),
            _ => self.cleaned_objects(path, &response.body),
        };
        if let Some(cleaned) = cleaned.filter(|_| response.status == 200) {
            response.body = cleaned;
            found = Found::Fields;
        }
        if let Cow::Owned(clean) = self.secrets.clean(&response.body) {
            response.body = clean;
            found = Found::Secrets;
        }
        found
    }

    fn cleaned_objects(&self, path: &str, body: &str) -> Option<String> {
        let rule = self
            .rules
            .iter()
            .find(|rule| is_below(path, rule.endpoint))?;
        // Most responses contain none of the fields.
        let has = |name: &&str| body.contains(&format!("\"{name}\""));
        if !rule.fields.keys().any(has) {
            return None;
        }
        let body: &RawValue = serde_json::from_str(body).ok()?;
        let mut out = String::with_capacity(body.get().len());
        rewrite(body, &rule.fields, &mut out);
        Some(out)
    }

    fn add(&mut self, endpoint: &'static str, fields: Fields) {
        if fields.is_empty() {
            return;
        }
        match self.rules.iter_mut().find(|rule| rule.endpoint == endpoint) {
            Some(rule) => merge(&mut rule.fields, fields),
            None => self.rules.push(Rule { endpoint, fields }),
        }
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

/// Returns true if the values of the form's field are secret.
fn is_secret(name: &str) -> bool {
    FORM.iter()
        .any(|field| field.name == name && field.kind == FieldKind::Secret)
}

/// Returns true if a table's rows are exactly the objects of its endpoint.
fn is_own(table: &Table) -> bool {
    match table.strategy {
        Strategy::Nested(_) | Strategy::Server => false,
        Strategy::AppendOnly(Feed::Events(_)) => table.name == "events",
        _ => true,
    }
}

/// Returns the columns whose values users write.
fn contents() -> impl Iterator<Item = (&'static Table, &'static Column)> {
    let tables = tables::ALL.iter().copied().filter(|table| is_own(table));
    tables.flat_map(|table| {
        let columns = table.columns.iter();
        columns
            .filter(|column| column.kind == ColumnType::Json || FREE_TEXT.contains(&column.name))
            .filter(|column| is_free(column))
            .map(move |column| (table, column))
    })
}

/// Returns true if the connector itself does not need the column.
fn is_free(column: &Column) -> bool {
    let is_needed =
        column.name == "id" || column.name.ends_with("_id") || column.name == "state_type";
    let stands_somewhere = matches!(column.source, Source::Json(_));
    // Pools are requested by name; listings are sorted by times and names.
    stands_somewhere
        && !is_needed
        && column.name != "name"
        && matches!(column.kind, ColumnType::Json | ColumnType::String)
}

fn find(wanted: &str) -> Result<(&'static Table, &'static Column), Error> {
    let refuse = |why: &str| Error::Redact {
        column: wanted.to_owned(),
        why: why.to_owned(),
    };
    let (table, column) = wanted
        .split_once('.')
        .ok_or_else(|| refuse("use TABLE.COLUMN, or `contents` for everything that users write"))?;
    let table = tables::find(table).ok_or_else(|| refuse("there is no such table"))?;
    let position = table
        .position(column)
        .ok_or_else(|| refuse("there is no such column"))?;
    let column = &table.columns[position];
    if !is_own(table) {
        let source = table.source().name;
        return Err(refuse(&format!(
            "its values come from another column: name the column of {source} that contains them"
        )));
    }
    if !is_free(column) {
        return Err(refuse(
            "the connector needs it: only text and JSON can be redacted, but no ids, names or states",
        ));
    }
    Ok((table, column))
}

/// Returns the fields that contain a column's values, with the replacements.
fn fields_of(column: &Column) -> Fields {
    let Source::Json(places) = column.source else {
        return Fields::new();
    };
    let mut fields = Fields::new();
    for place in places {
        let mut steps: Vec<&'static str> = place.split('.').collect();
        // For an element of a list, the whole list is removed.
        if let Some(at) = steps.iter().position(|step| step.parse::<usize>().is_ok()) {
            steps.truncate(at);
        }
        let put = match column.kind {
            ColumnType::Json | ColumnType::String => REDACTED,
            _ => "null",
        };
        let mut steps = steps.into_iter().rev();
        let Some(last) = steps.next() else { continue };
        let mut one = Fields::from([(last, Field::Put(put))]);
        for step in steps {
            one = Fields::from([(step, Field::Inside(one))]);
        }
        merge(&mut fields, one);
    }
    fields
}

/// Returns true if a request asks for a CSRF token.
pub(super) fn is_csrf_token(target: &str) -> bool {
    target.split('?').next() == Some(CSRF_TOKEN)
}

/// Returns true if a path belongs to an endpoint: a listing, its next page, or one object.
fn is_below(path: &str, endpoint: &str) -> bool {
    let mut path = path.split('/');
    for step in endpoint.split('/') {
        match path.next() {
            Some(found) if found == step || step == "{}" => {}
            _ => return false,
        }
    }
    matches!(
        (path.next(), path.next(), path.next()),
        (Some(_), None, None) | (Some("filter"), Some("next"), None)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response_with(body: &str) -> RecordedResponse {
        RecordedResponse {
            status: 200,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    fn cleaned(redaction: &Redaction, target: &str, body: &str) -> String {
        let mut response = response_with(body);
        redaction.clean(target, &mut response);
        response.body
    }

    fn columns(columns: &[&str]) -> Redaction {
        let columns: Vec<String> = columns.iter().map(|&it| it.to_owned()).collect();
        Redaction::new(&BTreeMap::new(), &columns).unwrap()
    }

    #[test]
    fn only_the_named_columns_are_redacted_and_the_rest_is_unchanged() {
        let redaction = columns(&["flow_runs.parameters", "flow_runs.state_message"]);
        let body = r#"[{"b": 1.50,"parameters":{"a": [1]},"state":{"type":"FAILED","message":"no"}},{"parameters":null}]"#;
        let clean = r#"[{"b":1.50,"parameters":"redacted","state":{"type":"FAILED","message":"redacted"}},{"parameters":null}]"#;
        assert_eq!(cleaned(&redaction, "/flow_runs/filter", body), clean);
        assert_eq!(cleaned(&redaction, "/task_runs/filter", body), body);
        let object = r#"{"parameters":{"a": [1]}}"#;
        let clean = r#"{"parameters":"redacted"}"#;
        assert_eq!(cleaned(&redaction, "/flow_runs/0-1", object), clean);
    }

    #[test]
    fn events_inside_a_page_object_are_redacted() {
        let redaction = columns(&["events.payload"]);
        let body = r#"{"events":[{"payload":{"a":1},"id":"x"}],"total":1,"next_page":null}"#;
        let clean = r#"{"events":[{"payload":"redacted","id":"x"}],"total":1,"next_page":null}"#;
        for target in ["/events/filter", "/events/filter/next?page-token=abc"] {
            assert_eq!(cleaned(&redaction, target, body), clean);
        }
    }

    #[test]
    fn fields_without_a_column_and_secrets_are_always_redacted() {
        let configuration = BTreeMap::from([
            ("api_url".to_owned(), "http://h/api".to_owned()),
            ("api_key".to_owned(), "pnu_hunter2".to_owned()),
            ("auth_string".to_owned(), "admin:swordfish".to_owned()),
            ("extra_headers".to_owned(), r#"{"X":"a\\b\"cd"}"#.to_owned()),
        ]);
        let redaction = Redaction::new(&configuration, &[]).unwrap();
        let (shown, hidden) = redaction.configuration(&configuration);
        assert_eq!(shown.keys().collect::<Vec<_>>(), ["api_url"]);
        assert_eq!(hidden, ["api_key", "auth_string", "extra_headers"]);
        let body = r#"[{"name":"a\\b\"cd"}]"#;
        assert_eq!(
            cleaned(&redaction, "/flows/filter", body),
            r#"[{"name":"***"}]"#
        );
        let body = r#"[{"name":"pnu_hunter2 swordfish","data":{"password":"x"}}]"#;
        let clean = r#"[{"name":"*** ***","data":null}]"#;
        assert_eq!(cleaned(&redaction, "/block_documents/filter", body), clean);
        let token = cleaned(
            &redaction,
            "/csrf-token?client=me",
            r#"{"token":"abc","client":"me"}"#,
        );
        assert!(!token.contains("abc"));
        let settings = r#"{"server":{"api":{"default_limit":200,"auth_string":"a:b"},"database":{"password":"x"}}}"#;
        assert_eq!(
            cleaned(&redaction, "/admin/settings", settings),
            r#"{"server":{"api":{"default_limit":200}}}"#
        );
    }

    /// A replay puts placeholders in place of hidden values, and two kinds of credentials exclude each other.
    #[test]
    fn an_empty_secret_is_not_hidden() {
        let configuration = BTreeMap::from([
            ("api_key".to_owned(), " ".to_owned()),
            ("auth_string".to_owned(), "admin:swordfish".to_owned()),
        ]);
        let redaction = Redaction::new(&configuration, &[]).unwrap();
        let (shown, hidden) = redaction.configuration(&configuration);
        assert!(shown.is_empty());
        assert_eq!(hidden, ["auth_string"]);
    }

    #[test]
    fn fields_that_the_connector_reads_by_cannot_be_redacted() {
        for (column, why) in [
            ("flow_runs", "TABLE.COLUMN"),
            ("runs.id", "no such table"),
            ("flow_runs.nothing", "no such column"),
            ("flow_runs.id", "connector needs it"),
            ("flow_runs.end_time", "connector needs it"),
            ("work_pools.name", "connector needs it"),
            ("deployment_schedules.schedule", "column of deployments"),
        ] {
            let error = Redaction::new(&BTreeMap::new(), &[column.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let all = columns(&[CONTENTS]).columns();
        for column in [
            "flow_runs.parameters",
            "logs.message",
            "variables.value",
            "artifacts.data",
        ] {
            assert!(all.iter().any(|it| it == column), "{column}: {all:?}");
        }
    }
}
