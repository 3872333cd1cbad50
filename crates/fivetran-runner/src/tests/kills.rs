//! Tests that a local run which was killed repeatedly ends with the contents of an uninterrupted one.
//!
//! The run is killed by SIGKILL at one of its events, and resumed each time. Events are readings of the clock (one
//! before each operation is staged, and some around the sync) and trace events inside a flush: after each table,
//! after the commit, after the state. Both are counted separately, so that kills hit flushes as often as the time
//! between them.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use tracing_subscriber::{Layer, layer::SubscriberExt as _};

use super::{fake::*, history::check_times};
use crate::Options;
use fivetran_proto::{DataType, value_type::Inner};
use sync_clock::Clock;

const ENDPOINT: &str = "LOCAL_RUN_KILLED_ENDPOINT";
const DIR: &str = "LOCAL_RUN_KILLED_DIR";
const HISTORY: &str = "LOCAL_RUN_KILLED_HISTORY";
const AT_LOOK: &str = "LOCAL_RUN_KILLED_AT_LOOK";
const AT_TRACE: &str = "LOCAL_RUN_KILLED_AT_TRACE";

/// The number of parts of the change script, each with a checkpoint at its end.
const PARTS: i64 = 14;
/// The number of possible rows. Even ids change in even parts, odd ids in odd parts.
const IDS: i64 = 24;

/// Kills the process at the event with this number.
struct Killer {
    events: AtomicI64,
    at: i64,
}

impl Killer {
    /// Kills at the event whose number is in the environment variable; never if the variable is not set.
    fn from_variable(variable: &str) -> Self {
        let at = std::env::var(variable).ok();
        Self {
            events: AtomicI64::new(0),
            at: at.map_or(0, |at| at.parse().unwrap()),
        }
    }

    fn tick(&self) {
        if self.events.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            let id = std::process::id().to_string();
            Command::new("kill").args(["-9", &id]).status().unwrap();
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Killer {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target().starts_with("fivetran_runner") {
            self.tick();
        }
    }
}

/// A clock that advances quickly, so that each checkpoint is flushed, and that begins in 1970 in every process.
struct KilledWriter {
    hasty: Hasty,
    killer: Killer,
}

impl Clock for KilledWriter {
    fn now(&self) -> DateTime<Utc> {
        self.killer.tick();
        self.hasty.now()
    }

    fn sleep(
        &self,
        duration: std::time::Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.hasty.sleep(duration)
    }
}

#[tokio::test]
#[ignore = "runs as the process that is killed"]
async fn child() {
    let endpoint = of_parent(ENDPOINT);
    let dir = of_parent(DIR);
    let tracer = tracing_subscriber::registry().with(Killer::from_variable(AT_TRACE));
    tracing::subscriber::set_global_default(tracer).unwrap();
    let options = Options {
        endpoint: endpoint.into(),
        history: std::env::var(HISTORY).is_ok(),
        ..options_in(Path::new(&dir))
    };
    let clock = KilledWriter {
        hasty: Hasty::default(),
        killer: Killer::from_variable(AT_LOOK),
    };
    let outcome = run_by(options, Arc::new(clock)).await.unwrap();
    assert_eq!(outcome.failure, None);
}

/// The signal that [`Killer`] sends.
const SIGKILL: i32 = 9;

/// Runs [`child`] until it is killed at an event. Returns false if it ended before. A child that fails otherwise, or
/// that is not found by its name, fails the test.
fn is_killed(fake: &Fake, dir: &Path, history: bool, (events, at): (&str, i64)) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "tests::kills::child", "--ignored"])
        .env(ENDPOINT, &fake.endpoint)
        .env(DIR, dir)
        .env(events, at.to_string())
        .stderr(Stdio::null());
    if history {
        command.env(HISTORY, "1");
    }
    let output = command.output().unwrap();
    if output.status.signal() == Some(SIGKILL) {
        return true;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let has_run = text.contains("test result: ok. 1 passed");
    assert!(
        output.status.success() && has_run,
        "{}: {text}",
        output.status
    );
    false
}

/// The steps of the connector. A row changes at most once in a part, and never in the next part, so repeating a part
/// after a kill changes nothing.
fn story(history: bool) -> Vec<Vec<Step>> {
    let mut random = SmallRng::seed_from_u64(7);
    let part = |part: i64| {
        let mut steps = Vec::new();
        // Versions that a truncate has closed are not opened again.
        if part == 9 && !history {
            steps.push(truncate());
        }
        for id in (part % 2..IDS).step_by(2) {
            let value = long(random.random_range(0..3));
            steps.push(match random.random_range(0..8) {
                0 => continue,
                1 => delete(id),
                2 => update(&[("id", long(id)), ("a", value)]),
                3 if part > 4 => update(&[("id", long(id)), ("late", value)]),
                4 if part > 7 => upsert(&[("id", long(id)), ("late", text("wide"))]),
                _ => upsert(&[("id", long(id)), ("a", value), ("b", text("x"))]),
            });
            let inner = Inner::Long(part);
            if let Some(Step::Send(_)) = steps.last() {
                let other = [("id", long(id)), ("part", inner)];
                steps.push(record(fivetran_proto::RecordType::Upsert, "u", &other));
            }
        }
        steps.push(checkpoint(&(part + 1).to_string()));
        steps
    };
    (0..PARTS).map(part).collect()
}

async fn connector(story: &[Vec<Step>], dir: &Path) -> Fake {
    let done = kept(dir).and_then(|state| state.parse().ok()).unwrap_or(0);
    let mut tables = one_table();
    if let Some(fivetran_proto::schema_response::Response::WithoutSchema(list)) =
        &mut tables.response
    {
        let columns = vec![key("id", DataType::Long), column("part", DataType::Long)];
        list.tables.push(table("u", columns));
    }
    Fake::start(Script {
        schema: tables,
        update: story[done..].concat(),
        ..Script::default()
    })
    .await
}

async fn finish(story: &[Vec<Step>], dir: &Path, history: bool) {
    let fake = connector(story, dir).await;
    let options = Options {
        history,
        ..options(&fake, dir)
    };
    let outcome = run_by(options, Arc::new(Hasty::default())).await.unwrap();
    assert_eq!(outcome.failure, None);
    assert_eq!(kept(dir), Some(PARTS.to_string()));
}

/// The contents of both tables without the times.
fn contents(dir: &Path, history: bool) -> Vec<String> {
    let (mark, order) = if history {
        ("_fivetran_active", "id, _fivetran_start")
    } else {
        ("_fivetran_deleted", "id")
    };
    let of = |columns: &str, table: &str| {
        rows(
            dir,
            &format!("SELECT {columns}, {mark} FROM tester.{table} ORDER BY {order}"),
        )
    };
    [of("id, a, b, late", "t"), of("id, part", "u")].concat()
}

/// Checks that in the log each sync starts with the state at which the previous one ended.
fn check_log(dir: &Path) {
    let columns = "outcome, state_before, state_after, checkpoints";
    let log = rows(
        dir,
        &format!("SELECT {columns} FROM _local_run.sync_log ORDER BY sync"),
    );
    let mut before = "{}".to_owned();
    for (at, line) in log.iter().enumerate() {
        let cells: Vec<_> = line.split('|').collect();
        let is_done = cells[2] == PARTS.to_string() && cells[0] == "succeeded";
        let is_last = at + 1 == log.len();
        assert!(is_done || (cells[0] == "killed" && !is_last), "{log:?}");
        assert_eq!(cells[1], before, "{log:?}");
        before = match cells[2] {
            // The process was killed before there was a state file.
            "-" => "{}".to_owned(),
            after => after.to_owned(),
        };
        let number = |state: &str| state.parse::<i64>().unwrap_or(0);
        let passed = number(&before) - number(cells[1]);
        // The process was killed between a commit and its state: the log has the rows, the state does not.
        let noted: i64 = cells[3].parse().unwrap();
        assert!(
            noted == passed || (!is_done && noted == passed + 1),
            "{log:?}"
        );
    }
    assert_eq!(before, PARTS.to_string());
}

async fn ends_the_same(history: bool) {
    let story = story(history);
    let whole = tempfile::tempdir().unwrap();
    finish(&story, whole.path(), history).await;
    let expected = contents(whole.path(), history);
    let mut random = SmallRng::seed_from_u64(11);
    let mut kills = 0;
    for _ in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..4 {
            let fake = connector(&story, dir.path()).await;
            let at = if random.random() {
                (AT_LOOK, random.random_range(1..100))
            } else {
                (AT_TRACE, random.random_range(1..16))
            };
            if !is_killed(&fake, dir.path(), history, at) {
                break;
            }
            kills += 1;
        }
        finish(&story, dir.path(), history).await;
        assert_eq!(contents(dir.path(), history), expected);
        if history {
            check_times(dir.path());
        }
        check_log(dir.path());
    }
    assert!(kills > 6, "{kills} kills");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_those_of_a_run_that_was_never_killed() {
    ends_the_same(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_those_of_a_run_that_was_never_killed() {
    ends_the_same(true).await;
}
