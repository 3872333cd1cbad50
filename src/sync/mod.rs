//! The reading of tables: pure strategies, the state, and the engine that drives them.
//!
//! A strategy is a state machine: it returns the request for the page that it needs next, takes that page's rows, and
//! decides which of them to send and which state represents them. The engine does everything else. Only the engine
//! waits and communicates.

mod compact_ids;
mod describe;
mod engine;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz_api;
mod identity;
mod keyset;
mod offset;
mod operation;
mod partitioned_scan;
mod progress;
mod quota;
mod rewind;
mod row_clock;
mod row_warnings;
mod schedule;
mod selection;
mod sent_fingerprints;
mod server_row;
mod session;
mod settings;
mod state;
mod strategies;
mod table_failure;
mod tie;
mod unreadable;
mod window_kind;

#[cfg(test)]
mod tests;

pub use describe::Field;
pub use engine::Engine;
pub use error::Error;
pub use operation::Op;
pub use progress::NoProgress;
pub use quota::{ProcessQuota, SyncQuota};
pub use rewind::{RewindError, Rewound};
pub use schedule::{LockTurn, ReplaySchedule, Schedule, ScheduleRecorder};
pub use selection::{SelectedTable, Selection};
pub use server_row::public_settings;
pub use session::{Outbox, STATE_BYTES};
pub use settings::SyncSettings;
pub use state::{Described, DescribedTable, State, StateDifference, StateError};
