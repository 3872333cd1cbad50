//! The workspace of `debug --demo`: made up, but the same one at each run, and a little further.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, SystemClock},
    debug::{STATE_FILE, WAREHOUSE_FILE},
    demo::{Options, Population, Server, story},
    tables,
};

/// The file that remembers the workspace, beside the warehouse.
const FILE: &str = "demo.json";

/// A made-up workspace and a real one do not go into one folder: each would find the other's state there.
pub(super) fn keep_apart(dir: &Path, is_demo: bool) -> anyhow::Result<()> {
    let is_used = [WAREHOUSE_FILE, STATE_FILE]
        .iter()
        .any(|file| dir.join(file).exists());
    let was_demo = dir.join(FILE).exists();
    if is_used && is_demo != was_demo {
        bail!(
            "{} holds the rows of {} workspace: run `fivetran_source reset`, or name another folder with --dir",
            dir.display(),
            if was_demo { "the demo" } else { "a real" }
        );
    }
    if was_demo && !is_demo {
        forget(dir)?;
    }
    Ok(())
}

/// Forgets the workspace of a folder; the next one begins anew.
pub(super) fn forget(dir: &Path) -> anyhow::Result<()> {
    let file = dir.join(FILE);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// What makes the workspace the same again.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// Decides everything made up.
    seed: u64,
    /// The workspace's present at the first run.
    began: DateTime<Utc>,
    /// Complete syncs so far; an hour passes in the workspace after each.
    syncs: u32,
}

/// A running demo workspace.
pub(super) struct DemoWorld {
    server: Server,
    remembered: Remembered,
    file: PathBuf,
}

impl DemoWorld {
    /// Starts the workspace of the folder `dir`, a new one when there is none.
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
        .with_everything();
        let server = Server::start(Options::of(population)).await?;
        server.with_store(|store| {
            for hour in 1..=remembered.syncs {
                story::an_hour_later(store, hour);
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

    /// What the setup form would be answered.
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        answers(&self.server)
    }

    /// A sync is complete: an hour passes before the next one.
    pub(super) fn synced(mut self) -> anyhow::Result<()> {
        self.remembered.syncs += 1;
        self.save()
    }

    fn save(&self) -> anyhow::Result<()> {
        if let Some(dir) = self.file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&self.file, serde_json::to_string(&self.remembered)?)
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

/// A workspace of 300 runs that nobody remembers.
pub(super) async fn small() -> anyhow::Result<Server> {
    let population = Population {
        runs: 300,
        ..Population::small(1, SystemClock.now())
    };
    Ok(Server::start(Options::of(population.with_everything())).await?)
}

/// What the setup form would be answered for the workspace, with all tables.
pub(super) fn answers(server: &Server) -> BTreeMap<String, String> {
    let url = server.workspace_url("demo", "demo");
    let mut answers = BTreeMap::from([("api_url".to_owned(), url)]);
    // Nobody shares it, and what costs much elsewhere costs nothing here.
    answers.insert("requests_per_minute".to_owned(), "100000".to_owned());
    for choice in tables::ALL.iter().filter_map(|table| table.choice) {
        answers.insert(choice.field.to_owned(), "true".to_owned());
    }
    answers
}
