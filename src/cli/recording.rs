//! The recording of a sync by `debug`: requested with `--record`, or kept because the sync failed.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use fivetran_runner::{STATE_FILE, WAREHOUSE_FILE};

use super::failed_recording::FailedRecording;
use crate::{
    clock::{Clock as _, SystemClock},
    fivetran::SyncHooks,
    replay::{EarlyEnd, FinishedRecording, Recording, RecordingHeader, RecordingMode, Redaction},
};

/// The file with the names of the columns that were removed from a folder's rows.
const MARK: &str = "redacted.json";

/// The arguments of `debug` for recordings.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Arguments {
    /// Records all requests, responses and operations in this file, for `replay`. Secrets are removed; rows are not,
    /// unless --redact names their columns. The last failed sync is recorded without this option.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["connect", "spawn"])]
    record: Option<PathBuf>,
    /// Removes a column, named TABLE.COLUMN, from the recording and from the rows that are landed. `contents` removes
    /// all that users wrote (parameters, logs, artifacts …). May be repeated.
    #[arg(long, value_name = "COLUMN", requires = "record")]
    redact: Vec<String>,
}

/// A recording in progress.
pub(super) enum SyncRecording {
    /// No recording.
    None,
    /// A recording that the user requested.
    Requested {
        recording: Recording,
        file: PathBuf,
        is_redacted: bool,
    },
    /// A recording that is kept if the sync fails.
    IfFailed(FailedRecording),
}

impl Arguments {
    /// Begins the recording that the user wants, or the one that is kept if the sync fails. Another connector cannot be
    /// recorded.
    pub(super) fn begin(
        &self,
        configuration: &BTreeMap<String, String>,
        dir: &Path,
        is_ours: bool,
    ) -> anyhow::Result<SyncRecording> {
        let redaction = Redaction::new(configuration, &self.redact)?;
        keep_apart(dir, &redaction.columns())?;
        if !is_ours {
            return Ok(SyncRecording::None);
        }
        let header = header(configuration);
        let Some(file) = &self.record else {
            return Ok(match FailedRecording::begin(dir, &header, redaction) {
                Ok(recording) => SyncRecording::IfFailed(recording),
                // A sync without a recording is better than no sync.
                Err(error) => {
                    tracing::warn!("this sync is not recorded: {error:#}");
                    SyncRecording::None
                }
            });
        };
        Ok(SyncRecording::Requested {
            recording: Recording::begin(file, &header, redaction, RecordingMode::Requested)?,
            file: file.clone(),
            is_redacted: !self.redact.is_empty(),
        })
    }
}

impl SyncRecording {
    /// Returns the hooks for the service.
    pub(super) fn hooks(&self) -> SyncHooks {
        match self {
            Self::None => SyncHooks::default(),
            Self::Requested { recording, .. } => recording.hooks(),
            Self::IfFailed(recording) => recording.hooks(),
        }
    }

    /// Ends the recording, and returns the lines about it for the report.
    ///
    /// A recording that the user did not request is kept only if the sync has failed.
    pub(super) fn finish(self, has_failed: bool) -> anyhow::Result<Vec<String>> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Requested {
                recording,
                file,
                is_redacted,
            } => Ok(lines_about(&file, &recording.finish()?, is_redacted)),
            Self::IfFailed(recording) if has_failed => Ok(match recording.keep() {
                Ok(None) => Vec::new(),
                Ok(Some((file, finished))) => lines_about(&file, &finished, false),
                Err(error) => vec![format!("Recording: none, because {error:#}")],
            }),
            Self::IfFailed(recording) => {
                recording.discard();
                Ok(Vec::new())
            }
        }
    }
}

/// Returns the properties of a recording that begins now.
fn header(configuration: &BTreeMap<String, String>) -> RecordingHeader {
    RecordingHeader {
        began: SystemClock.now(),
        configuration: configuration.clone(),
        // Random: different in every process.
        seed: RandomState::new().build_hasher().finish(),
    }
}

/// Describes a finished recording.
fn lines_about(file: &Path, finished: &FinishedRecording, is_redacted: bool) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "only displayed")]
    let megabytes = finished.bytes as f64 / 1e6;
    let shown = file.display().to_string();
    let typed = shell_words::quote(&shown);
    let mut lines = vec![format!(
        "Recording: {shown} ({megabytes:.1} MB); replay it with: fivetran_source replay {typed}"
    )];
    if let Some(early_end) = finished.early_end {
        lines.push(format!("           {}", reason(early_end)));
    }
    if !is_redacted {
        let advice =
            "It contains all rows but no secrets; to share it, record with --redact contents";
        lines.push(format!("           {advice}"));
    }
    lines
}

/// Explains why a recording ends before its sync.
fn reason(early_end: EarlyEnd) -> &'static str {
    match early_end {
        EarlyEnd::TooLarge => {
            "It reached its maximum size before the sync ended. The next sync continues from the last checkpoint; its \
             recording contains the failure if it fails again"
        }
        EarlyEnd::Secret => {
            "It ends before a response that contains a secret of the configuration; debug --record FILE replaces such \
             values and records the whole sync"
        }
    }
}

/// Rejects a warehouse whose rows were synced with other removed columns.
fn keep_apart(dir: &Path, columns: &[String]) -> anyhow::Result<()> {
    let mark = dir.join(MARK);
    let before: Vec<String> = match fs::read_to_string(&mark) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: delete it", mark.display()))?,
        Err(_) => Vec::new(),
    };
    let is_used = [WAREHOUSE_FILE, STATE_FILE]
        .iter()
        .any(|file| dir.join(file).exists());
    if before == columns {
        return Ok(());
    }
    if is_used {
        bail!(
            "the rows in {} were synced with {}: choose another folder with --dir (and --state to \
             continue from a state)",
            dir.display(),
            if before.is_empty() {
                "all their columns".to_owned()
            } else {
                format!("--redact {}", before.join(" --redact "))
            }
        );
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    fs::write(&mark, serde_json::to_string(columns)?)
        .with_context(|| format!("cannot write {}", mark.display()))
}
