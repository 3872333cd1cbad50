//! Recorded syncs: what went over the network, who took which turn, and what was sent; and the same sync again,
//! without a network.
//!
//! | file | what it does |
//! |---|---|
//! | `recorder`, `entry`, `tape` | writes a recording while a sync runs; the file's format; reads it |
//! | `redact`, `rewrite` | what a recording never holds |
//! | `player`, `world` | answers as recorded, or from what the recording knows of the workspace |
//! | `comparison` | what is sent now beside what was sent then |
//! | `playback` | what was sent, sent again |
//! | `clock` | a time in which waits take none |
//!
//! `docs/RECORDING.md` has the format and what a recording holds.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    fivetran::{
        Instruments,
        proto::{Selection, UpdateResponse, update_response::Operation},
    },
    sync::{Order, Told},
};

mod clock;
mod comparison;
mod entry;
mod playback;
mod player;
mod recorder;
mod redact;
mod rewrite;
mod tape;
mod world;

pub use clock::ReplayClock;
pub use comparison::{Compared, Difference};
pub use playback::Playback;
pub use player::Answers;
pub use recorder::{About, Recording};
pub use redact::{CONTENTS, Redaction};
pub use tape::Recorded;

/// How a checkpoint begins on the wire: `UpdateResponse.checkpoint` = 3.
const CHECKPOINT_TAG: u8 = 3 << 3 | 2;

/// Stands for a key that a recording does not hold.
const PLACEHOLDER: &str = "replayed";

/// Why there is no recording, or no replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A recording never takes another file's place.
    #[error("{path} exists already: choose another name for the recording, or delete it")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error("cannot {doing} the recording {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It is no recording, or was changed.
    #[error("{path} is no recording, or is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is of another version of the format.
    #[error(
        "{path} is a recording of format {version}, which this version of the connector does not know"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The format's version.
        version: u32,
    },
    /// A column cannot be taken out.
    #[error("cannot take `{column}` out of a recording: {why}")]
    Redact {
        /// As it was named.
        column: String,
        /// Why.
        why: String,
    },
}

impl Error {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// A recorded sync that is about to run again.
pub struct Replay {
    player: Arc<player::Player>,
    told: Option<Arc<Told>>,
    comparison: Arc<comparison::Comparison>,
    clock: Arc<ReplayClock>,
    enough: CancellationToken,
}

impl Replay {
    /// The same sync again; with `anew` one from another state, or of other tables.
    pub fn of(recorded: &Arc<Recorded>, anew: bool) -> Self {
        let told = (!anew).then(|| {
            let turns = recorded.turns.iter().copied();
            Arc::new(Told::new(turns, recorded.times.iter().copied()))
        });
        let enough = CancellationToken::new();
        if !anew && recorded.ended.is_none() && recorded.messages.is_empty() {
            enough.cancel();
        }
        Self {
            player: Arc::new(player::Player::new(recorded, told.clone(), enough.clone())),
            comparison: Arc::new(comparison::Comparison::new(
                Arc::clone(recorded),
                enough.clone(),
            )),
            clock: Arc::new(ReplayClock::new(recorded.head.began)),
            told,
            enough,
        }
    }

    /// What the service is to be given.
    pub fn instruments(&self) -> Instruments {
        let order = self.told.clone().map_or(Order::AsItComes, Order::Told);
        let tape = self.told.is_some().then(|| self.comparison.clone());
        Instruments {
            exchanges: Some(self.player.clone()),
            order,
            tape: tape.map(|tape| tape as _),
        }
    }

    /// The service's clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Trips when all was sent that a recording holds that was cut off.
    pub fn enough(&self) -> CancellationToken {
        self.enough.clone()
    }

    /// The order in which the sync is led, if it is: see [`Told::taken`].
    pub fn order(&self) -> Option<Arc<Told>> {
        self.told.clone()
    }

    /// How requests were answered.
    pub fn answers(&self) -> Answers {
        self.player.answers()
    }

    /// How it compares, once it has ended; `None` for a sync from another state.
    pub fn compared(&self) -> Option<Compared> {
        self.told.as_ref()?;
        Some(self.comparison.compared())
    }
}

impl Recorded {
    /// The answers to the setup form, with something in the place of the hidden ones.
    pub fn configuration(&self) -> BTreeMap<String, String> {
        let mut answers = self.head.configuration.clone();
        for name in &self.head.hidden {
            let stand_in = match name.as_str() {
                "auth_string" => format!("{PLACEHOLDER}:{PLACEHOLDER}"),
                // Without a network nobody reads them.
                "extra_headers" => continue,
                _ => PLACEHOLDER.to_owned(),
            };
            answers.insert(name.clone(), stand_in);
        }
        answers
    }

    /// Whether the file has its end: whoever recorded was not cut off.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The state that the sync began with; `None` when no sync began.
    pub fn state(&self) -> Option<&str> {
        Some(self.request.as_ref()?.state_json.as_deref().unwrap_or("{}"))
    }

    /// What was selected; `None`: everything.
    pub fn selection(&self) -> Option<&Selection> {
        self.request.as_ref()?.selection.as_ref()
    }

    /// The states of its checkpoints, in their order.
    pub fn states(&self) -> Vec<String> {
        let messages = self.messages.iter();
        messages.filter_map(state_of).collect()
    }

    /// What was sent up to the checkpoint with this state; `None` when there is no such checkpoint.
    pub fn until(&self, state_json: &str) -> Option<Vec<UpdateResponse>> {
        let is_it = |message: &Bytes| state_of(message).is_some_and(|state| state == state_json);
        let last = self.messages.iter().position(is_it)?;
        let messages = self.messages[..=last].iter();
        messages
            .map(|message| UpdateResponse::decode(message.clone()).ok())
            .collect()
    }

    /// How much it holds, in words.
    pub fn summary(&self) -> String {
        format!(
            "recorded {} by version {}: {} exchanges, {} messages{}{}",
            self.head.began.format("%Y-%m-%d %H:%M:%S UTC"),
            self.head.connector,
            self.exchanges.len(),
            self.messages.len(),
            match &self.ended {
                None => ", the sync was interrupted",
                Some(entry::End::Well) => "",
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

/// The state of a checkpoint; `None` for any other message.
fn state_of(message: &Bytes) -> Option<String> {
    // Most messages are none, and large.
    if message.first() != Some(&CHECKPOINT_TAG) {
        return None;
    }
    match UpdateResponse::decode(message.clone()).ok()?.operation? {
        Operation::Checkpoint(checkpoint) => Some(checkpoint.state_json),
        _ => None,
    }
}
