//! `replay --states`: syncs from a series of saved states, with the objects of a recording as the workspace.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use fivetran_runner::{Digests, SyncOutcome};

use super::replay_session::{Rows, land_until, replay};
use crate::replay::RecordedSync;

/// The maximum number of states that are synced into a warehouse of their own.
const STARTS: usize = 20;

/// Syncs the series into one warehouse, and single states into warehouses of their own. All must end the same.
pub(super) async fn run(recorded: &Arc<RecordedSync>, folder: &Path) -> anyhow::Result<ExitCode> {
    let states = saved_states(folder)?;
    let mut out = io::stdout();
    let work = tempfile::tempdir().context("cannot create a temporary folder")?;
    let full = sync(recorded, "{}", &work.path().join("full")).await?;
    let wanted = fivetran_runner::digests(&full.warehouse)?;
    writeln!(out, "a historical sync: {}", counted(&full))?;
    let mut is_same = true;
    let mut judge = |what: String, dir: &Path| -> anyhow::Result<()> {
        let found = fivetran_runner::digests(&dir.join(fivetran_runner::WAREHOUSE_FILE))?;
        let differing = differing(&wanted, &found);
        is_same &= differing.is_empty();
        let end = match &differing[..] {
            [] => "the warehouse is identical".to_owned(),
            tables => format!("the warehouse is DIFFERENT in {}", tables.join(", ")),
        };
        Ok(writeln!(io::stdout(), "{what}: {end}")?)
    };
    let series = work.path().join("series");
    for (at, (file, state)) in states.iter().enumerate() {
        if at == 0 {
            rows_of(recorded, state, &series).await?;
        }
        let outcome = sync(recorded, state, &series).await?;
        writeln!(out, "  from {}: {}", file.display(), counted(&outcome))?;
    }
    judge(format!("all {} states in order", states.len()), &series)?;
    let step = states.len().div_ceil(STARTS);
    for (at, (file, state)) in states.iter().enumerate().step_by(step) {
        let dir = work.path().join(format!("from-{at}"));
        let is_own = rows_of(recorded, state, &dir).await?;
        let outcome = sync(recorded, state, &dir).await?;
        let before = if is_own {
            "the rows up to it, then"
        } else {
            "all rows, then"
        };
        judge(
            format!(
                "from {} alone: {before} {}",
                file.display(),
                counted(&outcome)
            ),
            &dir,
        )?;
    }
    Ok(if is_same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lands the rows that a state covers: those recorded before it, or all for another sync's state. Returns true in the
/// first case.
async fn rows_of(recorded: &Arc<RecordedSync>, state: &str, dir: &Path) -> anyhow::Result<bool> {
    let is_fresh = recorded.state().is_some_and(|state| state.trim() == "{}");
    let is_own = is_fresh && recorded.states()?.any(|recorded| recorded == state);
    if is_own {
        land_until(recorded, state, dir).await?;
    } else if state.trim() != "{}" {
        sync(recorded, "{}", dir).await?;
    }
    Ok(is_own)
}

/// Writes the states of a recording's checkpoints into a folder, one file each.
pub(super) fn write(recorded: &RecordedSync, folder: &Path) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut written = 0;
    for state in recorded.states()? {
        written += 1;
        let file = folder.join(format!("{written:05}.json"));
        fs::write(&file, state).with_context(|| format!("cannot write {}", file.display()))?;
    }
    writeln!(io::stdout(), "{written} states in {}", folder.display())?;
    Ok(ExitCode::SUCCESS)
}

async fn sync(
    recorded: &Arc<RecordedSync>,
    state: &str,
    dir: &Path,
) -> anyhow::Result<SyncOutcome> {
    let (outcome, _) = replay(recorded, Some(state), dir, Rows::Landed).await?;
    match &outcome.failure {
        None => Ok(outcome),
        Some(why) => bail!("{why}"),
    }
}

/// Reads the `.json` files of a folder, in the order of their names.
fn saved_states(folder: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("no state files (*.json) in {}", folder.display());
    }
    let read = |path: PathBuf| {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path, text))
    };
    files.into_iter().map(read).collect()
}

fn counted(outcome: &SyncOutcome) -> String {
    let operations = &outcome.operations;
    format!(
        "{} upserts, {} updates, {} deletes",
        operations.upserts, operations.updates, operations.deletes
    )
}

/// Returns the names of the tables that differ.
fn differing(wanted: &Digests, found: &Digests) -> Vec<String> {
    let names = wanted
        .keys()
        .chain(found.keys().filter(|name| !wanted.contains_key(*name)));
    names
        .filter(|name| wanted.get(*name) != found.get(*name))
        .cloned()
        .collect()
}
