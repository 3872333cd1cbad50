//! The folder of a local run.

use std::path::PathBuf;

use clap::Args;

/// The folder of a workspace that is not the demo's.
const OWN: &str = "files";

/// The folder of the demo. It is not the other one, so that both can be synced in any order.
const DEMO: &str = "files/demo";

/// The arguments that select the folder.
#[derive(Debug, Clone, Args)]
pub(super) struct Folder {
    /// The folder of the warehouse and the state [default: files, or files/demo with --demo].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Uses the demo: a generated workspace that needs no account and no server.
    #[arg(long)]
    demo: bool,
}

impl Folder {
    /// The folder.
    pub(super) fn path(&self) -> PathBuf {
        let default = if self.demo { DEMO } else { OWN };
        self.dir.clone().unwrap_or_else(|| default.into())
    }

    /// Returns true if the demo is used.
    pub(super) fn is_demo(&self) -> bool {
        self.demo
    }

    /// Returns the arguments as they are typed, each after a space.
    pub(super) fn typed(&self) -> String {
        let mut typed = String::new();
        if self.demo {
            typed.push_str(" --demo");
        }
        if let Some(dir) = &self.dir {
            let dir = dir.display().to_string();
            typed.push_str(" --dir ");
            typed.push_str(&shell_words::quote(&dir));
        }
        typed
    }
}
