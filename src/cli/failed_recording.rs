//! The recording of a folder's last failed sync. Each sync is recorded, and the recording of a successful one is deleted.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process,
};

use anyhow::Context as _;

use crate::{
    fivetran::SyncHooks,
    replay::{FinishedRecording, Recording, RecordingHeader, RecordingMode, Redaction},
};

/// The file of the last failed sync.
const FILE: &str = "failed.rec";
/// The beginning of the name of the file that is written while a sync runs. The number of the process follows.
const UNFINISHED: &str = "unfinished-";
/// The maximum size of the file in bytes: that of a first sync of about a million runs.
const LIMIT: u64 = 512 << 20;

/// A recording that is kept if its sync fails.
pub(super) struct FailedRecording {
    recording: Recording,
    unfinished: PathBuf,
    file: PathBuf,
}

impl FailedRecording {
    /// Begins a recording in the folder `dir`. The recording of a process that was killed becomes that of the last
    /// failed sync.
    pub(super) fn begin(
        dir: &Path,
        header: &RecordingHeader,
        redaction: Redaction,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let file = dir.join(FILE);
        if let Some(killed) = of_killed(dir).pop() {
            rename(&killed, &file)?;
            tracing::warn!(
                "the last sync was killed; its recording is {}",
                file.display()
            );
        }
        let unfinished = dir.join(format!("{UNFINISHED}{}.rec", process::id()));
        let mode = RecordingMode::Automatic { limit: LIMIT };
        let recording = Recording::begin(&unfinished, header, redaction, mode)?;
        Ok(Self {
            recording,
            unfinished,
            file,
        })
    }

    /// Returns the hooks for the service.
    pub(super) fn hooks(&self) -> SyncHooks {
        self.recording.hooks()
    }

    /// Keeps the recording in place of an earlier one, and returns its file. Returns `None` if no sync began.
    pub(super) fn keep(self) -> anyhow::Result<Option<(PathBuf, FinishedRecording)>> {
        let finished = self.recording.finish();
        match finished {
            Ok(finished) if finished.has_sync => {
                rename(&self.unfinished, &self.file)?;
                Ok(Some((self.file, finished)))
            }
            unusable => {
                let _ = fs::remove_file(&self.unfinished);
                Ok(unusable.map(|_| None)?)
            }
        }
    }

    /// Deletes the recording.
    pub(super) fn discard(self) {
        self.recording.discard();
    }
}

/// Deletes the recordings of a folder, except that of a running sync, and returns the deleted files.
pub(super) fn forget(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut gone = Vec::new();
    for file in of_killed(dir).into_iter().chain([dir.join(FILE)]) {
        match fs::remove_file(&file) {
            Ok(()) => gone.push(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot delete {}", file.display()));
            }
        }
    }
    Ok(gone)
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

/// Returns the unfinished recordings whose process has ended, the latest last.
fn of_killed(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let killed = files.map(|file| file.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let process = name.and_then(|name| name.strip_prefix(UNFINISHED)?.strip_suffix(".rec"));
        process.is_some_and(|process| !is_running(process))
    });
    let mut killed: Vec<PathBuf> = killed.collect();
    killed.sort_by_key(|path| fs::metadata(path).and_then(|about| about.modified()).ok());
    killed
}

/// Returns true if the process is another one that runs. Without `/proc` all processes are taken to run.
fn is_running(process: &str) -> bool {
    let processes = Path::new("/proc");
    process != process::id().to_string()
        && (!processes.join("self").exists() || processes.join(process).exists())
}
