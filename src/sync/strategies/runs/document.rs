//! The document `docs/RUNS.md`, generated from the tasks, their order, and the lags of the rechecks.

use std::{env, fmt::Write as _, fs, path::Path};

use chrono::{DateTime, TimeDelta};

use super::{
    live_state::LiveState,
    state::RunsState,
    task::{Task, TaskProgress},
    timing::{
        DELETE_WITHIN, ENDED_OVERLAP, MAX_BACKFILL_SLICE, OLD_OPEN_RUN_AGE, OLD_OPEN_RUNS_EVERY,
    },
};

use crate::sync::describe::duration;

const DOCUMENT: &str = "docs/RUNS.md";

/// The look-back of the example: the default.
const LOOK_BACK: TimeDelta = TimeDelta::days(30);

/// A row of the table of readers.
struct Description {
    task: Task,
    name: &'static str,
    /// The file with the reader.
    file: &'static str,
    /// The runs that it requests.
    window: String,
    /// The condition under which the task has something to do.
    due: String,
    /// The condition under which a row is sent.
    sends: &'static str,
    /// The fields of the state that it changes, by their names in the saved state.
    stores: &'static str,
}

fn descriptions() -> Vec<Description> {
    let age = duration(OLD_OPEN_RUN_AGE);
    vec![
        Description {
            task: Task::EndedRuns,
            name: "ended runs",
            file: "ended_runs.rs",
            window: format!(
                "`end_time` from the cursor less {} on",
                duration(ENDED_OVERLAP)
            ),
            due: "always".to_owned(),
            sends: "every run after the cursor; before it, versions that are not remembered as sent",
            stores: "`tail`: cursor, window under way, read log; `recent`",
        },
        Description {
            task: Task::OpenRuns,
            name: "open runs",
            file: "open_runs.rs",
            window: format!("runs in an open state, `expected_start_time` from {age} ago on"),
            due: "always".to_owned(),
            sends: "runs that are new or changed since the set was last listed. A run that the listing lacks is looked up by id: sent, or deleted if it is gone",
            stores: "`open`: ids, time of the listing, position",
        },
        Description {
            task: Task::OldOpenRuns,
            name: "old open runs",
            file: "open_runs.rs",
            window: format!("runs in an open state, `expected_start_time` earlier than {age} ago"),
            due: format!(
                "{} after the last listing; after a rewind",
                duration(OLD_OPEN_RUNS_EVERY)
            ),
            sends: "as open runs",
            stores: "`long_open`",
        },
        Description {
            task: Task::WithoutEndTime,
            name: "runs without an end time",
            file: "without_end_time.rs",
            window:
                "ended runs whose `end_time` is null: the latest page, and all of them once a day"
                    .to_owned(),
            due: "always".to_owned(),
            sends: "runs that changed since the last listing",
            stores: "`never_started`, `without_end_listed`",
        },
        Description {
            task: Task::OutsideFilter,
            name: "runs outside the filter",
            file: "outside_filter.rs",
            window: "open runs that the user's `filter` excludes now, by id".to_owned(),
            due: format!(
                "after a change of the filter, then {} after the last look-up",
                duration(OLD_OPEN_RUNS_EVERY)
            ),
            sends: "nothing; a run that is gone is deleted",
            stores: "`outside`",
        },
        Description {
            task: Task::LookBack,
            name: "look-back",
            file: "recheck.rs",
            window: format!(
                "runs that ended within the look-back ({} by default)",
                duration(LOOK_BACK)
            ),
            due: "once after the rechecks restarted".to_owned(),
            sends: "runs that were updated after their end (a recheck without a read log)",
            stores: "`look_back`: position",
        },
        Description {
            task: Task::Recheck(0),
            name: "rechecks",
            file: "recheck.rs",
            window: "`end_time` after the recheck's cursor and up to now less its lag".to_owned(),
            due: "the window has grown to an eighth of the lag; after a rewind".to_owned(),
            sends: "runs that changed since the reader before last read them, by its read log",
            stores: "for each recheck: cursor, window under way, read log",
        },
        Description {
            task: Task::Unreadable,
            name: "unreadable runs",
            file: "gap_retry.rs",
            window: "the gaps in which objects could not be read, each once".to_owned(),
            due: "there is a gap".to_owned(),
            sends: "runs that can be read now and changed since they were last read",
            stores: "`unreadable`, `page_gaps`, `offset_gaps`",
        },
        Description {
            task: Task::Backfill,
            name: "backfill",
            file: "backfill.rs",
            window: "all runs by `expected_start_time`, newest first, in partitions".to_owned(),
            due: "ranges are left, or another backfill is queued".to_owned(),
            sends: "every run that the other readers have not sent since it began",
            stores: "`backfill`, `queue`: the ranges that are left",
        },
    ]
}

fn state() -> RunsState {
    RunsState {
        live: Some(LiveState::from(DateTime::UNIX_EPOCH, LOOK_BACK)),
        ..RunsState::new()
    }
}

/// Returns the tasks of a sync in their order.
fn tasks(state: &RunsState) -> Vec<Task> {
    let mut progress = TaskProgress::new(state);
    let mut tasks = Vec::new();
    while let Some(task) = progress.next_task(state) {
        progress.plan(task);
        tasks.push(task);
    }
    tasks
}

/// Returns the life of a run on a time axis, with the reader that reads it at each time.
fn life(state: &RunsState) -> String {
    let mut text = String::from(
        "```\n\
         time                     the run                   reader\n\
         -----------------------  ------------------------  ---------------------------------------------\n",
    );
    let mut row = |time: &str, run: &str, reader: &str| {
        let _ = writeln!(text, "{time:<23}  {run:<24}  {reader}");
    };
    row("expected start", "SCHEDULED", "open runs, at each sync");
    row("start", "RUNNING", "open runs, at each sync");
    row(
        "",
        "(deleted)",
        "open runs: not listed, look-up, soft delete",
    );
    row("end", "COMPLETED, FAILED …", "ended runs, at the next sync");
    row(
        "",
        "(no end time)",
        "runs without an end time, at the next sync",
    );
    let rechecks = state.live.iter().flat_map(|live| &live.rechecks);
    for (index, recheck) in rechecks.enumerate() {
        let lag = duration(TimeDelta::seconds(recheck.lag));
        row(
            &format!("end + {lag}"),
            "edited since it was read",
            &format!("recheck {}, up to {} later", index + 1, eighth(recheck.lag)),
        );
    }
    row("later", "", "none: edits are not seen");
    text + "```\n"
}

fn eighth(lag: i64) -> String {
    // Rounded up to minutes.
    duration(TimeDelta::minutes((lag / 8 + 59) / 60))
}

/// Returns the graph of the tasks, in Mermaid.
fn graph(state: &RunsState) -> String {
    let descriptions = descriptions();
    let name = |task: &Task| {
        let task = match task {
            Task::Recheck(_) => Task::Recheck(0),
            task => *task,
        };
        let found = descriptions.iter().position(|it| it.task == task);
        found.expect("each task is described")
    };
    let mut text = String::from("```mermaid\nflowchart LR\n");
    for (number, description) in descriptions.iter().enumerate() {
        let _ = writeln!(text, "  t{number}[\"{}\"]", description.name);
    }
    let tasks = tasks(state);
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for pair in tasks.windows(2) {
        let edge = (name(&pair[0]), name(&pair[1]));
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    }
    for (from, to) in edges {
        let label = if from == to { "|\"next lag\"|" } else { "" };
        let _ = writeln!(text, "  t{from} -->{label} t{to}");
    }
    let (first, last) = (name(&Task::EndedRuns), name(&Task::Backfill));
    let slice = duration(MAX_BACKFILL_SLICE);
    let _ = writeln!(
        text,
        "  t{last} -->|\"after {slice}, or at the end of a first backfill\"| t{first}"
    );
    let _ = writeln!(
        text,
        "  t{first} -->|\"it took long, or was resumed\"| t{first}"
    );
    text + "```\n"
}

fn document() -> String {
    let state = state();
    let mut table = String::from(
        "| reader | window | due | sends | stores (fields of the saved state) |\n|---|---|---|---|---|\n",
    );
    for row in descriptions() {
        let Description {
            name,
            file,
            window,
            due,
            sends,
            stores,
            ..
        } = row;
        let _ = writeln!(
            table,
            "| {name} (`{file}`) | {window} | {due} | {sends} | {stores} |"
        );
    }
    format!(
        "# The readers of runs\n\n\
         Generated from `src/sync/strategies/runs/` by `make generated`; do not edit. [SYNC.md](SYNC.md) explains why \
         runs need several readers.\n\n\
         ## The life of a run\n\n{}\n\
         Times are those of a server that filters by `end_time`. A recheck reads its window when the window has grown to \
         an eighth of its lag.\n\n\
         ## The order of tasks\n\n{}\n\
         A first sync begins with the backfill. A task that has nothing to do is skipped. A server without ranges of \
         time has no old open runs, look-back and rechecks: it lists all open runs at once.\n\n\
         ## The readers\n\n{table}\n\
         A missing open run counts as deleted only within {} of the last sync: after a longer pause it may have ended and \
         been removed by retention. A read log records which range was read when; the next recheck compares with it.\n",
        life(&state),
        graph(&state),
        duration(DELETE_WITHIN),
    )
}

#[test]
fn each_task_is_described_once() {
    let described: Vec<Task> = descriptions().iter().map(|it| it.task).collect();
    let mut planned = tasks(&state());
    planned.retain(|task| !matches!(task, Task::Recheck(1..)));
    assert_eq!(described, planned);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sync/strategies/runs");
    for description in descriptions() {
        assert!(
            folder.join(description.file).exists(),
            "{}",
            description.file
        );
    }
}

/// Compares the document with the committed one, or writes it if `RUNS=new` is set.
#[test]
fn the_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    if env::var("RUNS").is_ok_and(|value| value == "new") {
        fs::write(path, document()).expect("the document can be written");
        return;
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == document(),
        "{DOCUMENT} is not current: make generated"
    );
}
