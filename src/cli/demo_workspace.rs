//! The generated workspace of `debug --demo`: the same one at each run, an hour later after each complete sync.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::{
    clock::{Clock, SystemClock},
    tables,
};
use fivetran_runner::{STATE_FILE, WAREHOUSE_FILE};
use prefect_fake::{Options, Population, Server, hourly_activity};

/// The file from which the workspace is generated again, in the folder of the warehouse.
const FILE: &str = "demo.json";

/// Rejects a folder with rows of the other kind of workspace (demo or real), whose state does not fit.
pub(super) fn keep_apart(folder: &Folder) -> anyhow::Result<()> {
    let (dir, is_demo) = (&*folder.path(), folder.is_demo());
    let is_used = [WAREHOUSE_FILE, STATE_FILE]
        .iter()
        .any(|file| dir.join(file).exists());
    let was_demo = dir.join(FILE).exists();
    if is_used && is_demo != was_demo {
        bail!(
            "{} holds the rows of {} workspace: run `fivetran_source reset{}`, or choose another folder with --dir",
            dir.display(),
            if was_demo { "the demo" } else { "a real" },
            folder.typed()
        );
    }
    if was_demo && !is_demo {
        forget(dir)?;
    }
    Ok(())
}

/// Deletes the workspace of a folder. The next run creates a new one.
pub(super) fn forget(dir: &Path) -> anyhow::Result<()> {
    let file = dir.join(FILE);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// The data from which the workspace is generated again.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// The seed of all generated data.
    seed: u64,
    /// The current time in the workspace at the first run.
    began: DateTime<Utc>,
    /// The number of complete syncs so far. An hour passes in the workspace after each.
    syncs: u32,
}

/// A running demo workspace.
pub(super) struct DemoWorkspace {
    server: Server,
    remembered: Remembered,
    file: PathBuf,
}

impl DemoWorkspace {
    /// Starts the workspace of the folder `dir`, or a new one if there is none.
    pub(super) async fn open(dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join(FILE);
        let remembered = match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged: delete it", file.display()))?,
            Err(_) => Remembered {
                seed: 1,
                began: SystemClock.now(),
                syncs: 0,
            },
        };
        let population = Population {
            runs: 5_000,
            ..Population::small(remembered.seed, remembered.began)
        }
        .with_full_workspace();
        let server = Server::start(Options::new(population)).await?;
        server.with_store(|store| {
            for hour in 1..=remembered.syncs {
                hourly_activity::simulate_hour(store, hour);
            }
        });
        let world = Self {
            server,
            remembered,
            file,
        };
        world.save()?;
        Ok(world)
    }

    /// Returns the values of the setup form for the workspace.
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        answers(&self.server)
    }

    /// Saves that a sync is complete: an hour passes in the workspace before the next one.
    pub(super) fn synced(mut self) -> anyhow::Result<()> {
        self.remembered.syncs += 1;
        self.save()
    }

    fn save(&self) -> anyhow::Result<()> {
        if let Some(dir) = self.file.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        fs::write(&self.file, serde_json::to_string(&self.remembered)?)
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

/// Starts a workspace of 300 runs that is not saved.
pub(super) async fn small() -> anyhow::Result<Server> {
    let population = Population {
        runs: 300,
        ..Population::small(1, SystemClock.now())
    };
    Ok(Server::start(Options::new(population.with_full_workspace())).await?)
}

/// Returns the values of the setup form for the workspace, with all tables.
pub(super) fn answers(server: &Server) -> BTreeMap<String, String> {
    let url = server.workspace_url("demo", "demo");
    let mut answers = BTreeMap::from([("api_url".to_owned(), url)]);
    // The server is not shared: requests need no limit, and the optional tables cost nothing.
    answers.insert("requests_per_minute".to_owned(), "100000".to_owned());
    for choice in tables::ALL.iter().filter_map(|table| table.choice) {
        answers.insert(choice.field.to_owned(), "true".to_owned());
    }
    answers
}
