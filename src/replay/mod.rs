//! Recorded syncs (the requests and responses, the order of turns, the messages), and their replay without a network.
//!
//! | file | purpose |
//! |---|---|
//! | `recorder`, `recording_file` | records a sync while it runs, and writes the recording's file |
//! | `entry`, `entry_reader` | the file's format, and its sequential reading |
//! | `recorded_sync`, `body_reader` | the parts of a recording that are in memory; the bodies, read when they are needed |
//! | `redact`, `rewrite` | removes the data that a recording must not contain |
//! | `response_replayer`, `recorded_workspace` | responses as recorded, or made from the recorded objects |
//! | `comparison` | compares the messages of a replay with the recorded ones |
//! | `har` | exports the requests and responses as an HTTP archive |
//! | `scripted_connector` | sends the recorded messages again |
//! | `clock` | a clock with which waits take no time |
//!
//! `docs/RECORDING.md` describes the format and the contents of a recording.

use std::{collections::BTreeMap, iter, sync::Arc};

use bytes::Bytes;
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    fivetran::{
        SyncHooks,
        proto::{Selection, UpdateResponse, update_response::Operation},
    },
    sync::{ReplaySchedule, Schedule},
};

mod body_reader;
mod clock;
mod comparison;
mod entry;
mod entry_reader;
mod error;
mod har;
mod recorded_sync;
mod recorded_workspace;
mod recorder;
mod recording_file;
mod redact;
mod response_replayer;
mod rewrite;
mod scripted_connector;
#[cfg(test)]
mod test_file;

pub use clock::ReplayClock;
pub use comparison::{Compared, MessageDifference};
pub use error::Error;
pub use recorded_sync::RecordedSync;
pub use recorder::{FinishedRecording, Recording, RecordingHeader, RecordingMode};
pub use recording_file::EarlyEnd;
pub use redact::{CONTENTS, Redaction};
pub use response_replayer::ResponseCounts;
pub use scripted_connector::ScriptedConnector;

/// The first byte of an encoded checkpoint: `UpdateResponse.checkpoint` = 3.
const CHECKPOINT_TAG: u8 = 3 << 3 | 2;

/// The placeholder for a secret that a recording does not contain.
const PLACEHOLDER: &str = "replayed";

/// A recorded sync that is run again.
pub struct Replay {
    replayer: Arc<response_replayer::ResponseReplayer>,
    schedule: Option<Arc<ReplaySchedule>>,
    comparison: Arc<comparison::Comparison>,
    clock: Arc<ReplayClock>,
    enough: CancellationToken,
}

impl Replay {
    /// Prepares the same sync again, or with `is_new_sync` a sync from another state or of other tables.
    pub fn new(recorded: &Arc<RecordedSync>, is_new_sync: bool) -> Result<Self, Error> {
        let schedule = (!is_new_sync).then(|| {
            let turns = recorded.turns.iter().copied();
            Arc::new(ReplaySchedule::new(turns, recorded.times.iter().copied()))
        });
        let enough = CancellationToken::new();
        if !is_new_sync && recorded.ended.is_none() && recorded.messages == 0 {
            enough.cancel();
        }
        Ok(Self {
            replayer: Arc::new(response_replayer::ResponseReplayer::new(
                recorded,
                schedule.clone(),
                enough.clone(),
            )?),
            comparison: Arc::new(comparison::Comparison::new(
                Arc::clone(recorded),
                enough.clone(),
            )?),
            clock: Arc::new(ReplayClock::new(recorded.head.began)),
            schedule,
            enough,
        })
    }

    /// Returns the hooks for the service.
    pub fn hooks(&self) -> SyncHooks {
        let schedule = self
            .schedule
            .clone()
            .map_or(Schedule::Live, Schedule::Replayed);
        let messages = self.schedule.is_some().then(|| self.comparison.clone());
        SyncHooks {
            interceptor: Some(self.replayer.clone()),
            schedule,
            messages: messages.map(|messages| messages as _),
        }
    }

    /// Returns the clock for the service.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Returns a token that is cancelled when the replay has sent all messages of an interrupted sync.
    pub fn enough(&self) -> CancellationToken {
        self.enough.clone()
    }

    /// Returns the recorded order of turns, if the sync must follow it; see [`ReplaySchedule::taken`].
    pub fn schedule(&self) -> Option<Arc<ReplaySchedule>> {
        self.schedule.clone()
    }

    /// Returns the counts of requests by the source of their response.
    pub fn response_counts(&self) -> ResponseCounts {
        self.replayer.counts()
    }

    /// Returns the comparison after the sync has ended; `None` for a sync from another state.
    pub fn compared(&self) -> Option<Compared> {
        self.schedule.as_ref()?;
        Some(self.comparison.compared())
    }
}

impl RecordedSync {
    /// Returns the values of the setup form, with placeholders for the secret ones.
    pub fn configuration(&self) -> BTreeMap<String, String> {
        let mut answers = self.head.configuration.clone();
        for name in &self.head.hidden {
            let stand_in = match name.as_str() {
                "auth_string" => format!("{PLACEHOLDER}:{PLACEHOLDER}"),
                // The headers are not needed without a network.
                "extra_headers" => continue,
                _ => PLACEHOLDER.to_owned(),
            };
            answers.insert(name.clone(), stand_in);
        }
        answers
    }

    /// Returns true if the file is complete: the process that wrote it was not killed.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns the state with which the sync began; `None` if no sync began.
    pub fn state(&self) -> Option<&str> {
        Some(self.request.as_ref()?.state_json.as_deref().unwrap_or("{}"))
    }

    /// Returns the selection; `None` means everything.
    pub fn selection(&self) -> Option<&Selection> {
        self.request.as_ref()?.selection.as_ref()
    }

    /// Returns the states of the checkpoints, in their order, read from the file one after another.
    pub fn states(&self) -> Result<impl Iterator<Item = String>, Error> {
        let mut messages = self.open()?;
        let messages = iter::from_fn(move || messages.next_message());
        Ok(messages.filter_map(|message| state_of(&message)))
    }

    /// Returns the messages up to the checkpoint with this state; `None` if there is no such checkpoint.
    pub fn until(&self, state_json: &str) -> Result<Option<Vec<UpdateResponse>>, Error> {
        if !self.states()?.any(|state| state == state_json) {
            return Ok(None);
        }
        let mut reader = self.open()?;
        let mut messages = Vec::new();
        while let Some(message) = reader.next_message() {
            let is_last = state_of(&message).is_some_and(|state| state == state_json);
            messages.extend(UpdateResponse::decode(message).ok());
            if is_last {
                break;
            }
        }
        Ok(Some(messages))
    }

    /// Returns a description of the recording's contents.
    pub fn summary(&self) -> String {
        format!(
            "recorded {} by version {}: {} exchanges, {} messages{}{}",
            self.head.began.format("%Y-%m-%d %H:%M:%S UTC"),
            self.head.connector,
            self.exchanges.len(),
            self.messages,
            match &self.ended {
                None => ", the sync was interrupted",
                Some(entry::End::Completed) => "",
                Some(entry::End::Failed(_)) => ", the sync failed",
            },
            if self.is_complete {
                ""
            } else {
                "; the file ends early"
            },
        )
    }
}

/// Returns the state of a checkpoint; `None` for any other message.
fn state_of(message: &Bytes) -> Option<String> {
    // Most messages are not checkpoints, and too large to be decoded needlessly.
    if message.first() != Some(&CHECKPOINT_TAG) {
        return None;
    }
    match UpdateResponse::decode(message.clone()).ok()?.operation? {
        Operation::Checkpoint(checkpoint) => Some(checkpoint.state_json),
        _ => None,
    }
}
