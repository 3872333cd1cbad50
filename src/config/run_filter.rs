//! The user's own filter of runs.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::{closest::closest_name, json_kind::json_kind};

/// The tables to which the filter applies, with the related objects that their listings accept (Prefect silently
/// ignores others).
const TABLES: &[(&str, &[&str])] = &[
    ("flow_runs", &["flows", "deployments", "work_pools"]),
    ("task_runs", &["flows", "flow_runs", "deployments"]),
];

/// The collections of [`TABLES`].
const COLLECTIONS: [&str; 5] = [
    "flow_runs",
    "task_runs",
    "flows",
    "deployments",
    "work_pools",
];

/// The fields by which the connector itself filters.
const RESERVED: &[&str] = &[
    "id",
    "state",
    "operator",
    "start_time",
    "end_time",
    "expected_start_time",
    "next_scheduled_start_time",
];

/// Returns true for a field of a collection by which the connector itself filters.
pub(super) fn is_reserved(collection: &str, field: &str) -> bool {
    TABLES.iter().any(|(table, _)| *table == collection) && RESERVED.contains(&field)
}

/// The user's own filter of runs: JSON objects by the names of collections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter(Map<String, Value>);

/// The filter of one table: its name, its own filter, and the filters of related collections.
pub(crate) type Scoped = (&'static str, Map<String, Value>, Map<String, Value>);

impl RunFilter {
    /// Returns the filter of each table to which the filter applies.
    pub(crate) fn scopes(&self) -> Vec<Scoped> {
        let object = |name: &str| match self.0.get(name) {
            Some(Value::Object(object)) => object.clone(),
            _ => Map::new(),
        };
        let scopes = TABLES.iter().map(|(table, others)| {
            let related = others.iter().filter_map(|other| {
                let related = object(other);
                (!related.is_empty()).then(|| ((*other).to_owned(), related.into()))
            });
            (*table, object(table), related.collect::<Map<_, _>>())
        });
        scopes
            .filter(|(_, own, related)| !own.is_empty() || !related.is_empty())
            .collect()
    }
}

fn unknown_collection(name: &str) -> String {
    let shown = name.escape_debug();
    match closest_name(name, COLLECTIONS) {
        Some(closest) => {
            format!("`{shown}` is not a supported filter; the closest one is `{closest}`")
        }
        None => format!(
            "`{shown}` is not a supported filter; use {}",
            COLLECTIONS.join(", ")
        ),
    }
}

impl FromStr for RunFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let example = r#"{"flow_runs": {"tags": {"all_": ["prod"]}}}"#;
        let filter: Value = serde_json::from_str(text).map_err(|error| {
            format!("is not valid JSON: {error}; write a JSON object such as {example}")
        })?;
        let Value::Object(filter) = filter else {
            let kind = json_kind(&filter);
            return Err(format!(
                "must be a JSON object such as {example}, not {kind}"
            ));
        };
        for (name, object) in &filter {
            if !COLLECTIONS.contains(&name.as_str()) {
                return Err(unknown_collection(name));
            }
            let Value::Object(object) = object else {
                let kind = json_kind(object);
                return Err(format!("`{name}` must be an object, not {kind}"));
            };
            let reserved = object.keys().find(|key| is_reserved(name, key));
            if let Some(reserved) = reserved {
                return Err(format!(
                    "`{name}.{reserved}` is reserved for the connector; remove it"
                ));
            }
        }
        Ok(Self(filter))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_filter_concerns_both_tables() {
        let filter: RunFilter =
            r#"{"flow_runs":{"tags":{"all_":["prod"]}},"work_pools":{"name":{"any_":["a"]}}}"#
                .parse()
                .expect("a filter");
        let scopes = filter.scopes();
        let text = serde_json::to_string(&scopes).expect("serialises");
        assert_eq!(
            text,
            r#"[["flow_runs",{"tags":{"all_":["prod"]}},{"work_pools":{"name":{"any_":["a"]}}}],["task_runs",{},{"flow_runs":{"tags":{"all_":["prod"]}}}]]"#
        );
        assert!(
            "{}".parse::<RunFilter>()
                .expect("a filter")
                .scopes()
                .is_empty()
        );
    }

    #[test]
    fn the_collections_are_those_of_the_tables() {
        let named = TABLES.iter().flat_map(|(table, others)| {
            let others = others.iter().copied();
            others.chain([*table])
        });
        let named: BTreeSet<_> = named.collect();
        assert_eq!(named, BTreeSet::from(COLLECTIONS));
    }

    #[test]
    fn what_belongs_to_the_connector_is_refused_by_name() {
        for (text, says) in [
            ("[]", r#"{"all_": ["prod"]}}}, not a list"#),
            ("500", "must be a JSON object such as"),
            (
                "{",
                "is not valid JSON: EOF while parsing an object at line 1 column 1",
            ),
            (
                r#"{"flow_run":{}}"#,
                "`flow_run` is not a supported filter; the closest one is `flow_runs`",
            ),
            (
                r#"{"colour":{}}"#,
                "use flow_runs, task_runs, flows, deployments, work_pools",
            ),
            (
                r#"{"flow_runs":[]}"#,
                "`flow_runs` must be an object, not a list",
            ),
            (
                r#"{"flow_runs":{"state":{}}}"#,
                "`flow_runs.state` is reserved",
            ),
            (
                r#"{"task_runs":{"end_time":{}}}"#,
                "`task_runs.end_time` is reserved",
            ),
            (
                r#"{"flow_runs":{"operator":"or_"}}"#,
                "`flow_runs.operator`",
            ),
        ] {
            let error = text.parse::<RunFilter>().expect_err(text);
            assert!(error.contains(says), "{error}");
        }
        let related = r#"{"flows":{"operator":"or_","id":{"any_":[]}}}"#;
        assert!(related.parse::<RunFilter>().is_ok());
    }
}
