//! The fields of Prefect's own filters, used to suggest the one that the user may have meant.

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

/// Returns the field of the same object with the closest name, among those by which the user may filter.
pub(crate) fn closest_field(field: &str) -> Option<String> {
    let (object, name) = field.rsplit_once('.')?;
    let (_, names) = FIELDS.iter().find(|(path, _)| *path == object)?;
    let names = names.split(' ');
    let names =
        names.filter(|other| *other != name && !super::run_filter::is_reserved(object, other));
    let closest = names.min_by_key(|other| strsim::levenshtein(name, other))?;
    Some(format!("{object}.{closest}"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_closest_field_is_named() {
        for (field, closest) in [
            ("flow_runs.tagz", Some("flow_runs.tags")),
            ("flow_runs.tags.all", Some("flow_runs.tags.all_")),
            ("flows.name.like", Some("flows.name.like_")),
            (
                "deployments.worker_queue_name",
                Some("deployments.work_queue_name"),
            ),
            // Fields by which the connector itself filters are not suggested.
            ("flow_runs.states", Some("flow_runs.tags")),
            ("flow_runs.nothing.all_", None),
        ] {
            assert_eq!(closest_field(field).as_deref(), closest, "{field}");
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
