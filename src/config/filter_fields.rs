//! The fields of Prefect's own filters, by which a field that a server rejects is explained.

use super::closest::closest_name;

/// The objects in a filter of Prefect 3.9.1, by path, with the fields of each.
const FIELDS: &[(&str, &str)] = &[
    (
        "flow_runs",
        "created_by deployment_id end_time expected_start_time flow_version id idempotency_key name next_scheduled_start_time operator parent_flow_run_id parent_task_run_id start_time state tags work_queue_name",
    ),
    ("flow_runs.created_by", "id_ is_null_ operator type_"),
    ("flow_runs.deployment_id", "any_ is_null_ operator"),
    ("flow_runs.end_time", "after_ before_ is_null_"),
    ("flow_runs.expected_start_time", "after_ before_"),
    ("flow_runs.flow_version", "any_"),
    ("flow_runs.id", "any_ not_any_"),
    ("flow_runs.idempotency_key", "any_ not_any_"),
    ("flow_runs.name", "any_ like_"),
    ("flow_runs.next_scheduled_start_time", "after_ before_"),
    ("flow_runs.parent_flow_run_id", "any_ operator"),
    ("flow_runs.parent_task_run_id", "any_ is_null_ operator"),
    ("flow_runs.start_time", "after_ before_ is_null_"),
    ("flow_runs.state", "name operator type"),
    ("flow_runs.state.name", "any_ not_any_"),
    ("flow_runs.state.type", "any_ not_any_"),
    ("flow_runs.tags", "all_ any_ is_null_ operator"),
    ("flow_runs.work_queue_name", "any_ is_null_ operator"),
    (
        "task_runs",
        "end_time expected_start_time flow_run_id id name operator start_time state subflow_runs tags",
    ),
    ("task_runs.end_time", "after_ before_ is_null_"),
    ("task_runs.expected_start_time", "after_ before_"),
    ("task_runs.flow_run_id", "any_ is_null_ operator"),
    ("task_runs.id", "any_"),
    ("task_runs.name", "any_ like_"),
    ("task_runs.start_time", "after_ before_ is_null_"),
    ("task_runs.state", "name operator type"),
    ("task_runs.state.name", "any_"),
    ("task_runs.state.type", "any_"),
    ("task_runs.subflow_runs", "exists_"),
    ("task_runs.tags", "all_ is_null_ operator"),
    ("flows", "deployment id name operator tags"),
    ("flows.deployment", "is_null_ operator"),
    ("flows.id", "any_ not_any_"),
    ("flows.name", "any_ like_"),
    ("flows.tags", "all_ is_null_ operator"),
    (
        "deployments",
        "concurrency_limit flow_or_deployment_name id name operator paused tags work_queue_name",
    ),
    ("deployments.concurrency_limit", "ge_ is_null_ le_"),
    ("deployments.flow_or_deployment_name", "like_"),
    ("deployments.id", "any_ not_any_"),
    ("deployments.name", "any_ like_"),
    ("deployments.paused", "eq_"),
    ("deployments.tags", "all_ any_ is_null_ operator"),
    ("deployments.work_queue_name", "any_"),
    ("work_pools", "id name operator type"),
    ("work_pools.id", "any_"),
    ("work_pools.name", "any_"),
    ("work_pools.type", "any_"),
];

/// The names with which Prefect's filters compare, and their values in words.
const COMPARISONS: &[(&str, &str)] = &[
    ("after_", "a time"),
    ("all_", "a list"),
    ("any_", "a list"),
    ("before_", "a time"),
    ("eq_", "true or false"),
    ("exists_", "true or false"),
    ("ge_", "a number"),
    ("is_null_", "true or false"),
    ("le_", "a number"),
    ("like_", "a text"),
    ("not_any_", "a list"),
    ("operator", "`and_` or `or_`"),
];

/// Returns the problem with a field that the server does not know: with the closest field of the same object, or all.
pub(crate) fn unknown_field(field: &str) -> String {
    let problem = "is not known to this server";
    let Some((object, name)) = field.rsplit_once('.') else {
        return problem.to_owned();
    };
    let Some((_, names)) = FIELDS.iter().find(|(path, _)| *path == object) else {
        return problem.to_owned();
    };
    let names = names.split(' ');
    // The user may not filter by the fields by which the connector itself filters.
    let names =
        names.filter(|other| *other != name && !super::run_filter::is_reserved(object, other));
    let names: Vec<_> = names.collect();
    match closest_name(name, names.iter().copied()) {
        Some(closest) => {
            format!("{problem}; the closest field in Prefect is `{object}.{closest}`")
        }
        None => format!(
            "{problem}; in Prefect, `{object}` has the fields `{}`",
            names.join("`, `")
        ),
    }
}

/// Returns the problem with a field whose value the server does not accept.
pub(crate) fn refused_value(field: &str) -> String {
    let problem = "has a value that this server does not accept";
    let name = field.rsplit('.').next().unwrap_or_default();
    match COMPARISONS.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => format!("{problem}; it must be {value}"),
        None => problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_closest_field_is_named() {
        for (field, closest) in [
            ("flow_runs.tag", "`flow_runs.tags`"),
            ("flow_runs.tagz", "`flow_runs.tags`"),
            ("flow_runs.tags.all", "`flow_runs.tags.all_`"),
            ("flows.name.like", "`flows.name.like_`"),
            (
                "deployments.worker_queue_name",
                "`deployments.work_queue_name`",
            ),
        ] {
            let problem = unknown_field(field);
            let says = format!("the closest field in Prefect is {closest}");
            assert!(problem.ends_with(&says), "{field}: {problem}");
        }
        // Fields by which the connector itself filters are not suggested.
        let problem = unknown_field("task_runs.states");
        assert_eq!(
            problem,
            "is not known to this server; in Prefect, `task_runs` has the fields `flow_run_id`, `name`, \
             `subflow_runs`, `tags`"
        );
        for field in ["flow_runs.nothing.all_", "nothing"] {
            assert_eq!(unknown_field(field), "is not known to this server");
        }
    }

    #[test]
    fn the_kind_of_a_value_is_named() {
        for (field, says) in [
            ("flow_runs.tags.any_", "it must be a list"),
            ("flow_runs.tags.operator", "it must be `and_` or `or_`"),
            ("deployments.paused.eq_", "it must be true or false"),
            ("flow_runs.deployment_id.any_.0", "does not accept"),
        ] {
            let problem = refused_value(field);
            assert!(problem.ends_with(says), "{field}: {problem}");
        }
        // Every name that Prefect's filters compare with is described.
        let steps = FIELDS.iter().flat_map(|(_, names)| names.split(' '));
        let comparisons =
            steps.filter(|name| name.ends_with('_') && !["id_", "type_"].contains(name));
        for name in comparisons {
            let is_described = COMPARISONS.iter().any(|(known, _)| *known == name);
            assert!(is_described, "{name}");
        }
    }

    #[test]
    fn the_fields_are_those_of_prefects_document() {
        let document = include_str!("../../tests/fixtures/openapi/3.9.1.json");
        let document: Value = serde_json::from_str(document).expect("JSON");
        for (path, names) in FIELDS {
            let mut object = &document["requests"]["/flow_runs/filter"]["body"];
            for step in path.split('.') {
                object = &object[step];
            }
            let known: Vec<&String> = object.as_object().expect("an object").keys().collect();
            assert_eq!(names.split(' ').collect::<Vec<_>>(), known, "{path}");
        }
    }
}
