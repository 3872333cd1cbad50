//! `debug --record`: records a sync while it runs.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use fivetran_runner::{STATE_FILE, WAREHOUSE_FILE};

use crate::{
    clock::{Clock as _, SystemClock},
    replay::{Recording, RecordingHeader, Redaction},
};

/// The file with the names of the columns that were removed from a folder's rows.
const MARK: &str = "redacted.json";

/// The arguments of `debug` for recordings.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Arguments {
    /// Records all requests, responses and operations in this file, for `replay`. Secrets are removed; rows are not,
    /// unless --redact names their columns.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["connect", "spawn"])]
    record: Option<PathBuf>,
    /// Removes a column, named TABLE.COLUMN, from the recording and from the rows that are landed. `contents` removes
    /// all that users wrote (parameters, logs, artifacts …). May be repeated.
    #[arg(long, value_name = "COLUMN", requires = "record")]
    redact: Vec<String>,
}

impl Arguments {
    /// Begins the recording, if the user wants one.
    pub(super) fn begin(
        &self,
        configuration: &BTreeMap<String, String>,
        dir: &Path,
    ) -> anyhow::Result<Option<Recording>> {
        let redaction = Redaction::new(configuration, &self.redact)?;
        keep_apart(dir, &redaction.columns())?;
        let Some(file) = &self.record else {
            return Ok(None);
        };
        let about = RecordingHeader {
            began: SystemClock.now(),
            configuration: configuration.clone(),
            // Random: different in every process.
            seed: RandomState::new().build_hasher().finish(),
        };
        Ok(Some(Recording::begin(file, &about, redaction)?))
    }

    /// Ends the recording, and returns the lines about it for the report.
    pub(super) fn finish(&self, recording: Option<Recording>) -> anyhow::Result<Vec<String>> {
        let (Some(recording), Some(file)) = (recording, &self.record) else {
            return Ok(Vec::new());
        };
        let bytes = recording.finish()?;
        let file = file.display();
        #[expect(clippy::cast_precision_loss, reason = "only displayed")]
        let megabytes = bytes as f64 / 1e6;
        let mut lines = vec![format!(
            "Recording: {file} ({megabytes:.1} MB); replay it with: fivetran_source replay {file}"
        )];
        if self.redact.is_empty() {
            let advice =
                "It contains all rows but no secrets; to share it, record with --redact contents";
            lines.push(format!("           {advice}"));
        }
        Ok(lines)
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
