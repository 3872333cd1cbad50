//! Tests that the state is never ahead of the rows.

use super::fake::*;
use crate::Error;

fn script(update: Vec<Step>) -> Script {
    Script {
        schema: one_table(),
        update,
        ..Script::default()
    }
}

#[tokio::test]
async fn the_last_checkpoint_is_where_the_next_sync_starts() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(script(vec![
        row(1, 10, "x"),
        checkpoint("{\"n\": 1}"),
        row(2, 20, "y"),
        checkpoint("{\"n\": 2,\n \"é\":0}"),
    ]))
    .await;
    for _ in 0..2 {
        let outcome = run_with(options(&fake, dir.path())).await.unwrap();
        assert_eq!(outcome.operations.checkpoints, 2);
        assert!(outcome.succeeded());
    }
    assert_eq!(fake.start_states(), ["{}", "{\"n\": 2,\n \"é\":0}"]);
}

#[tokio::test]
async fn an_error_after_a_checkpoint_keeps_the_progress() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        row(1, 10, "x"),
        checkpoint("{\"n\":1}"),
        row(2, 20, "y"),
        Step::Fail(tonic::Status::unavailable("prefect is down")),
    ];
    let outcome = sync(dir.path(), one_table(), steps).await;
    assert_eq!(
        outcome.failure.as_deref(),
        Some("the connector ended the sync with Unavailable: prefect is down")
    );
    assert_eq!(kept(dir.path()).as_deref(), Some("{\"n\":1}"));
    assert_eq!(landed(dir.path()), ["1|10|x|false", "2|20|y|false"]);
}

#[tokio::test]
async fn without_a_checkpoint_there_is_no_state() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = sync(dir.path(), one_table(), vec![row(1, 10, "x")]).await;
    assert!(outcome.succeeded());
    assert_eq!(kept(dir.path()), None);
    assert_eq!(landed(dir.path()), ["1|10|x|false"]);
}

#[tokio::test]
async fn a_checkpoint_that_is_not_json_fails_and_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![row(1, 10, "x"), checkpoint("{\"n\":1}"), checkpoint("{")];
    let outcome = sync(dir.path(), one_table(), steps).await;
    assert!(outcome.failure.unwrap().contains("not JSON"));
    assert_eq!(kept(dir.path()).as_deref(), Some("{\"n\":1}"));
}

#[tokio::test]
async fn a_damaged_state_is_refused_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(script(vec![checkpoint("{}")])).await;
    std::fs::write(dir.path().join("state.json"), "{\"n\":").unwrap();
    let error = run_with(options(&fake, dir.path())).await.unwrap_err();
    assert!(matches!(error, Error::State { .. }), "{error}");
    assert_eq!(kept(dir.path()).as_deref(), Some("{\"n\":"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(fake.asked.lock().unwrap().schemas.is_empty());

    // The remedy works, even if that sync does not reach a checkpoint.
    let early = Fake::start(script(vec![Step::Fail(tonic::Status::internal("oh"))])).await;
    let mut options = options(&early, dir.path());
    options.full_refresh = true;
    assert!(!run_with(options).await.unwrap().succeeded());
    assert_eq!(kept(dir.path()).as_deref(), Some("{}"));
}

#[tokio::test]
async fn a_state_whose_rows_are_gone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(script(vec![checkpoint("{\"n\":1}")])).await;
    run_with(options(&fake, dir.path())).await.unwrap();
    std::fs::remove_file(dir.path().join("warehouse.db")).unwrap();
    let error = run_with(options(&fake, dir.path())).await.unwrap_err();
    assert!(matches!(error, Error::RowsMissing { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_warehouse_is_an_error_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("warehouse.db"), "no database".repeat(1_000)).unwrap();
    let fake = Fake::start(script(Vec::new())).await;
    let error = run_with(options(&fake, dir.path())).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("warehouse.db"), "{text}");
    assert!(text.contains("fivetran_source reset"), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[tokio::test]
async fn another_state_file_is_read_and_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let given = dir.path().join("given.json");
    let fake = Fake::start(script(vec![row(1, 10, "x"), checkpoint("{\"n\":8}")])).await;
    let mut options = options(&fake, dir.path());
    options.state = Some(given.clone());
    let missing = run_with(options.clone()).await.unwrap_err();
    assert!(matches!(missing, Error::NoState { .. }), "{missing}");
    std::fs::write(&given, "{\"n\":7}").unwrap();
    assert!(run_with(options).await.unwrap().succeeded());
    assert_eq!(fake.start_states(), ["{\"n\":7}"]);
    assert_eq!(std::fs::read_to_string(given).unwrap(), "{\"n\":7}");
    assert_eq!(kept(dir.path()).as_deref(), Some("{\"n\":8}"));
}

/// A full refresh truncates, so the old state would cover rows that are marked as deleted.
#[tokio::test]
async fn a_full_refresh_that_fails_early_leaves_no_old_state() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![row(1, 10, "x"), checkpoint("{\"n\":1}")];
    sync(dir.path(), one_table(), steps).await;
    let failing = vec![truncate(), Step::Fail(tonic::Status::internal("oh"))];
    let fake = Fake::start(script(failing)).await;
    let mut options = options(&fake, dir.path());
    options.full_refresh = true;
    assert!(!run_with(options).await.unwrap().succeeded());
    assert_eq!(fake.start_states(), ["{}"]);
    assert_eq!(kept(dir.path()).as_deref(), Some("{}"));
    assert_eq!(landed(dir.path()), ["1|10|x|true"]);
}

mod ordering {
    use std::collections::BTreeMap;

    use chrono::{DateTime, Utc};

    use crate::{
        Error,
        column_type::ColumnType,
        comments::Comment,
        staged::StagedValue,
        state::StateFile,
        table::{Column, Table, TableName},
        warehouse::{ExistingTable, FlushProgress, RunFailure, Store, Warehouse},
    };
    use fivetran_proto::{
        Checkpoint, Record, RecordType, ValueType, update_response::Operation, value_type::Inner,
    };

    /// A store that counts commits and reads the state file during each.
    #[derive(Default)]
    struct Watching {
        seen: std::rc::Rc<std::cell::RefCell<Vec<Option<String>>>>,
        fails: bool,
        state: std::path::PathBuf,
    }

    impl Store for Watching {
        fn describe(&mut self, _: &TableName) -> Result<Option<ExistingTable>, Error> {
            Ok(None)
        }
        fn create(&mut self, _: &Table) -> Result<(), Error> {
            Ok(())
        }
        fn add_column(&mut self, _: &TableName, _: &Column) -> Result<(), Error> {
            Ok(())
        }
        fn change_type(&mut self, _: &TableName, _: &Column, _: ColumnType) -> Result<(), Error> {
            Ok(())
        }
        fn has_large_integers(&mut self, _: &TableName, _: &str) -> Result<bool, Error> {
            Ok(false)
        }
        fn commit(
            &mut self,
            work: &[(&Table, &StagedValue)],
            _: &FlushProgress,
        ) -> Result<Vec<u64>, Error> {
            let state = std::fs::read_to_string(&self.state).ok();
            self.seen.borrow_mut().push(state);
            if self.fails {
                Err(Error::Lost)
            } else {
                Ok(vec![0; work.len()])
            }
        }
        fn comment(&mut self, _: &[Comment]) -> Result<(), Error> {
            Ok(())
        }
        fn count(&mut self, _: &TableName) -> Result<(u64, u64), Error> {
            Ok((0, 0))
        }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn row(id: i64) -> Operation {
        let inner = Some(Inner::Long(id));
        Operation::Record(Record {
            schema_name: None,
            table_name: "t".into(),
            r#type: RecordType::Upsert.into(),
            data: BTreeMap::from([("id".into(), ValueType { inner })]),
        })
    }

    fn checkpoint(state: &str) -> Operation {
        let state_json = state.into();
        Operation::Checkpoint(Checkpoint { state_json })
    }

    struct Bench {
        _dir: tempfile::TempDir,
        path: std::path::PathBuf,
        seen: std::rc::Rc<std::cell::RefCell<Vec<Option<String>>>>,
        warehouse: Warehouse<Watching>,
    }

    fn bench(fails: bool) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let store = Watching {
            fails,
            state: path.clone(),
            ..Watching::default()
        };
        let seen = store.seen.clone();
        let file = StateFile::new(path.clone());
        let warehouse = Warehouse::new(store, file, "tester".into());
        Bench {
            _dir: dir,
            path,
            seen,
            warehouse,
        }
    }

    #[test]
    fn the_state_follows_the_commit() {
        let mut bench = bench(false);
        for (id, state) in [(1, "1"), (2, "2")] {
            bench.warehouse.apply(row(id).into(), at(id)).unwrap();
            bench
                .warehouse
                .apply(checkpoint(state).into(), at(id))
                .unwrap();
            bench.warehouse.flush().unwrap();
        }
        assert_eq!(*bench.seen.borrow(), [None, Some("1".to_owned())]);
        assert_eq!(std::fs::read_to_string(&bench.path).unwrap(), "2");
    }

    #[test]
    fn a_commit_that_fails_writes_no_state() {
        let mut bench = bench(true);
        bench.warehouse.apply(row(1).into(), at(0)).unwrap();
        bench
            .warehouse
            .apply(checkpoint("1").into(), at(0))
            .unwrap();
        let late = bench.warehouse.flush_if_due(at(5));
        assert!(matches!(late, Err(RunFailure::Broken(Error::Lost))));
        assert!(!bench.path.exists());
    }

    #[test]
    fn a_checkpoint_waits_five_seconds_and_later_ones_do_not_prolong_that() {
        let mut bench = bench(false);
        bench.warehouse.apply(row(1).into(), at(0)).unwrap();
        for second in 0..5 {
            let state = second.to_string();
            bench
                .warehouse
                .apply(checkpoint(&state).into(), at(second))
                .unwrap();
            bench.warehouse.flush_if_due(at(second)).unwrap();
        }
        assert!(!bench.path.exists());
        bench.warehouse.flush_if_due(at(5)).unwrap();
        assert_eq!(std::fs::read_to_string(&bench.path).unwrap(), "4");
    }

    #[test]
    fn ten_thousand_rows_are_flushed_without_a_checkpoint() {
        let mut bench = bench(false);
        for id in 0..9_999 {
            bench.warehouse.apply(row(id).into(), at(0)).unwrap();
        }
        assert_eq!(bench.seen.borrow().len(), 0);
        bench.warehouse.apply(row(9_999).into(), at(0)).unwrap();
        assert_eq!(bench.seen.borrow().len(), 1);
        assert!(!bench.path.exists());
    }

    #[test]
    fn large_rows_are_flushed_before_they_are_many() {
        let mut bench = bench(false);
        for id in 0..65 {
            let Operation::Record(mut record) = row(id) else {
                unreachable!()
            };
            let inner = Some(Inner::String("x".repeat(1 << 20)));
            record.data.insert("big".into(), ValueType { inner });
            let record = Operation::Record(record);
            bench.warehouse.apply(record.into(), at(0)).unwrap();
        }
        assert_eq!(bench.seen.borrow().len(), 1);
    }
}
