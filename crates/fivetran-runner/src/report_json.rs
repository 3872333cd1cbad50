//! The report as JSON.

use serde_json::{Value, json};

use super::{Operations, SyncOutcome, TableOutcome, TestOutcome, timeline::Tally};

/// The whole report, as one JSON object on a line.
pub fn json(outcome: &SyncOutcome) -> String {
    let tests: Vec<Value> = outcome.tests.iter().map(test).collect();
    let tables: Vec<Value> = outcome.tables.iter().map(table).collect();
    let warnings = outcome.warnings.iter();
    let warnings: Vec<Value> = warnings
        .map(|(message, count)| json!({ "message": message, "count": count }))
        .collect();
    // An empty list means that the connector's requests are unknown, which differs from zero requests.
    let is_known = !outcome.asked.is_empty();
    let asked = is_known.then(|| {
        let asked: Vec<Value> = outcome.asked.iter().map(requests).collect();
        asked
    });
    json!({
        "succeeded": outcome.succeeded(),
        "failure": outcome.failure,
        "last_lines": outcome.last_lines,
        "tests": tests,
        "operations": operations(&outcome.operations),
        "tables": tables,
        "requests": asked,
        "setup_requests": is_known.then_some(outcome.setup_requests),
        "warnings": warnings,
        "history": outcome.history,
        "seconds": outcome.took.as_secs_f64(),
        "ended": outcome.ended,
        "warehouse": outcome.warehouse,
        "state": outcome.state,
        "report": outcome.page,
        "notes": outcome.notes,
    })
    .to_string()
}

fn test(test: &TestOutcome) -> Value {
    json!({ "label": test.label, "passed": test.failure.is_none(), "failure": test.failure })
}

fn operations(operations: &Operations) -> Value {
    json!({
        "upserts": operations.upserts,
        "updates": operations.updates,
        "deletes": operations.deletes,
        "truncates": operations.truncates,
        "schema_changes": operations.schema_changes,
        "checkpoints": operations.checkpoints,
    })
}

fn table(table: &TableOutcome) -> Value {
    json!({
        "table": table.table,
        "upserts": table.operations.upserts,
        "updates": table.operations.updates,
        "deletes": table.operations.deletes,
        "truncates": table.operations.truncates,
        "unchanged": table.unchanged,
        "rows": table.rows,
        "deleted": table.deleted,
    })
}

fn requests(tally: &Tally) -> Value {
    json!({
        "tables": tally.tables,
        "requests": tally.requests,
        "bytes": tally.bytes,
        "retries": tally.retries,
        "waited_seconds": tally.waited.as_secs_f64(),
        "seconds": tally.took.as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_report_is_one_line() {
        let mut outcome = SyncOutcome {
            warnings: vec![("a\nb".into(), 2)],
            ..SyncOutcome::default()
        };
        let text = json(&outcome);
        assert!(!text.contains('\n'));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["succeeded"], true);
        assert_eq!(read["requests"], Value::Null);
        assert_eq!(
            read["warnings"][0],
            json!({ "message": "a\nb", "count": 2 })
        );
        outcome.failure = Some("no".into());
        outcome.asked = vec![Tally::default()];
        let read: Value = serde_json::from_str(&json(&outcome)).unwrap();
        assert_eq!(
            (&read["succeeded"], &read["failure"]),
            (&json!(false), &json!("no"))
        );
        assert_eq!(read["requests"][0]["requests"], 0);
    }
}
