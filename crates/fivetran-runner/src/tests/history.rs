//! Tests of a row's versions, within a flush and across flushes.

use super::fake::*;
use crate::{Error, Options, SyncOutcome, View, execute_views, make_latest, tables_lie_in};
use fivetran_proto::value_type::Inner;

async fn sync_with_history(dir: &std::path::Path, update: Vec<Step>) -> SyncOutcome {
    let script = Script {
        schema: one_table(),
        update,
        ..Script::default()
    };
    let fake = Fake::start(script).await;
    let options = Options {
        history: true,
        ..options(&fake, dir)
    };
    run_with(options).await.unwrap()
}

/// The versions as `id|a|b|active`, by id and start.
fn versions(dir: &std::path::Path) -> Vec<String> {
    let sql = "SELECT id, a, b, _fivetran_active FROM tester.t ORDER BY id, _fivetran_start";
    rows(dir, sql)
}

/// Checks the times of the versions of every row. Versions do not overlap, only the last one is active and has no
/// end, and times are in whole milliseconds.
pub(super) fn check_times(dir: &std::path::Path) {
    let wrong = "WITH v AS (SELECT *, \
         lead(_fivetran_start) OVER w AS next FROM tester.t \
         WINDOW w AS (PARTITION BY id ORDER BY _fivetran_start)) \
         SELECT id, _fivetran_start, _fivetran_end, _fivetran_active, next FROM v WHERE \
         _fivetran_end < _fivetran_start OR next <= _fivetran_end \
         OR _fivetran_active IS NULL OR (_fivetran_active AND next IS NOT NULL) \
         OR _fivetran_active <> (_fivetran_end = '9999-12-31 23:59:59.999+00'::TIMESTAMPTZ) \
         OR date_trunc('millisecond', _fivetran_start) <> _fivetran_start \
         OR date_trunc('millisecond', _fivetran_end) <> _fivetran_end";
    assert_eq!(rows(dir, wrong), [""; 0]);
}

/// Runs `steps` in one flush, then again with each step in a sync of its own. The versions must be the same.
async fn both_ways(steps: Vec<Step>) -> Vec<String> {
    let together = tempfile::tempdir().unwrap();
    let outcome = sync_with_history(together.path(), steps.clone()).await;
    assert_eq!(outcome.failure, None);
    check_times(together.path());
    let apart = tempfile::tempdir().unwrap();
    for step in steps {
        let outcome = sync_with_history(apart.path(), vec![step]).await;
        assert_eq!(outcome.failure, None);
    }
    check_times(apart.path());
    let kept = versions(together.path());
    assert_eq!(kept, versions(apart.path()), "in one flush and in several");
    kept
}

#[tokio::test]
async fn each_change_makes_a_version_and_the_same_again_none() {
    let steps = vec![
        row(1, 10, "x"),
        row(2, 20, "y"),
        row(1, 10, "x"),
        row(1, 11, "x"),
        row(1, 11, "x"),
        upsert(&[("id", long(1)), ("b", text("x"))]),
    ];
    let expected = ["1|10|x|false", "1|11|x|false", "1|-|x|true", "2|20|y|true"];
    assert_eq!(both_ways(steps).await, expected);
}

#[tokio::test]
async fn an_update_makes_a_version_out_of_the_active_one() {
    let steps = vec![
        row(1, 10, "x"),
        update(&[("id", long(1)), ("a", long(11))]),
        update(&[("id", long(1)), ("a", long(11))]),
        update(&[("id", long(1)), ("b", Inner::Null(true))]),
        update(&[("id", long(9)), ("a", long(11))]),
    ];
    let expected = ["1|10|x|false", "1|11|x|false", "1|11|-|true"];
    assert_eq!(both_ways(steps).await, expected);
}

#[tokio::test]
async fn a_delete_closes_a_version_and_an_upsert_begins_one_even_with_the_same_values() {
    let steps = vec![
        row(1, 10, "x"),
        row(2, 20, "y"),
        delete(1),
        delete(1),
        delete(9),
        update(&[("id", long(1)), ("a", long(12))]),
        row(1, 10, "x"),
    ];
    let expected = ["1|10|x|false", "1|10|x|true", "2|20|y|true"];
    assert_eq!(both_ways(steps).await, expected);
}

#[tokio::test]
async fn a_truncate_closes_what_came_before_it() {
    let steps = vec![
        row(1, 10, "x"),
        row(2, 20, "y"),
        row(2, 21, "y"),
        truncate(),
        row(2, 21, "y"),
        row(3, 30, "z"),
    ];
    let expected = [
        "1|10|x|false",
        "2|20|y|false",
        "2|21|y|false",
        "2|21|y|true",
        "3|30|z|true",
    ];
    assert_eq!(both_ways(steps).await, expected);
}

#[tokio::test]
async fn a_version_ends_a_millisecond_before_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![row(1, 10, "x"), row(1, 11, "x"), row(1, 12, "x")];
    sync_with_history(dir.path(), steps).await;
    let gaps = "SELECT epoch_ms(lead(_fivetran_start) OVER (ORDER BY _fivetran_start)) \
         - epoch_ms(_fivetran_end) FROM tester.t ORDER BY _fivetran_start";
    assert_eq!(rows(dir.path(), gaps), ["1", "1", "-"]);
    let outcome = sync_with_history(dir.path(), vec![delete(1)]).await;
    let table = &outcome.tables[0];
    assert_eq!((table.rows, table.deleted, outcome.history), (3, 3, true));
    let end = "SELECT max(_fivetran_end) < '9999-01-01'::TIMESTAMPTZ, \
         max(_fivetran_end) >= max(_fivetran_start) FROM tester.t";
    assert_eq!(rows(dir.path(), end), ["true|true"]);
}

#[tokio::test]
async fn a_column_that_comes_later_is_null_in_the_versions_before() {
    let steps = vec![
        row(1, 10, "x"),
        upsert(&[
            ("id", long(1)),
            ("a", long(10)),
            ("b", text("x")),
            ("c", long(5)),
        ]),
        update(&[("id", long(1)), ("c", text("wide"))]),
    ];
    let dir = tempfile::tempdir().unwrap();
    let outcome = sync_with_history(dir.path(), steps).await;
    assert_eq!(outcome.failure, None);
    check_times(dir.path());
    let all = "SELECT a, c, _fivetran_active FROM tester.t ORDER BY _fivetran_start";
    assert_eq!(
        rows(dir.path(), all),
        ["10|-|false", "10|5|false", "10|wide|true"]
    );
}

#[tokio::test]
async fn schemas_of_which_one_name_begins_with_the_other_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(Script {
        schema: one_table(),
        update: vec![row(1, 10, "x"), checkpoint("{\"n\":1}")],
        ..Script::default()
    })
    .await;
    for (schema, history) in [("a_b", true), ("a", false), ("a_b", true), ("a", false)] {
        let outcome = run_with(Options {
            history,
            schema: schema.to_owned(),
            full_refresh: true,
            ..options(&fake, dir.path())
        })
        .await;
        assert!(outcome.unwrap().succeeded(), "{schema}");
    }
}

#[tokio::test]
async fn a_warehouse_cannot_be_continued_in_the_other_history_mode() {
    for first in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(Script {
            schema: one_table(),
            update: vec![row(1, 10, "x"), checkpoint("{\"n\":1}")],
            ..Script::default()
        })
        .await;
        let with = |history| Options {
            history,
            ..options(&fake, dir.path())
        };
        run_with(with(first)).await.unwrap();
        let error = run_with(with(!first)).await.unwrap_err();
        assert!(matches!(error, Error::OtherMode { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("tester.t") && text.contains("reset"),
            "{text}"
        );
        assert_eq!(text.contains("with --history"), first, "{text}");
        // The connector received no request, and nothing has changed.
        assert_eq!(fake.start_states().len(), 1);
        assert!(run_with(with(first)).await.unwrap().succeeded());
    }
}

#[tokio::test]
async fn views_of_the_latest_versions_look_like_a_warehouse_without_history() {
    let steps = vec![
        row(1, 10, "x"),
        row(2, 20, "y"),
        row(1, 11, "x"),
        delete(2),
        row(3, 30, "z"),
        checkpoint("{}"),
    ];
    let plain = tempfile::tempdir().unwrap();
    sync(plain.path(), one_table(), steps.clone()).await;
    let kept = tempfile::tempdir().unwrap();
    sync_with_history(kept.path(), steps).await;
    let file = kept.path().join("warehouse.db");
    make_latest(&file).unwrap();
    let schema = tables_lie_in(&file).unwrap();
    let sql = format!("SELECT id, a, b, _fivetran_deleted FROM {schema}.t");
    let (schema, name) = ("views", "all_of_them");
    let view = View {
        schema,
        name,
        description: "",
        sql: &sql,
    };
    assert_eq!(execute_views(&file, &[view]).unwrap(), []);
    let seen = rows(kept.path(), "SELECT * FROM views.all_of_them ORDER BY id");
    assert_eq!(seen, landed(plain.path()));
    assert_eq!(
        tables_lie_in(&plain.path().join("warehouse.db")).unwrap(),
        "tester"
    );
}
