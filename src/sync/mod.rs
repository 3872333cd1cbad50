//! The reading of tables: pure strategies, the state, and the engine that drives them.
//!
//! A strategy is a state machine: it returns the request for the page that it needs next, takes that page's rows, and
//! decides which of them to send and which state represents them. The engine does everything else. Only the engine
//! waits and communicates.

mod choices;
mod engine;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod halt;
mod identity;
mod lanes;
mod notes;
mod op;
mod order;
mod pack;
mod paging;
mod progress;
mod question;
mod recent;
mod rewind;
mod row_clock;
mod selection;
mod server_row;
mod share;
mod shared;
mod state;
mod state_check;
mod state_error;
mod state_v1;
mod state_words;
mod strategies;
mod tie;
mod unreadable;
mod value_walk;
mod words;

#[cfg(test)]
mod tests;

pub use choices::Choices;
pub use engine::Engine;
pub use error::Error;
pub use op::Op;
pub use order::{Order, Told, Turn, TurnLog};
pub use progress::NoProgress;
pub use rewind::{RewindError, Rewound};
pub use selection::{SelectedTable, Selection};
pub use server_row::harmless_settings;
pub use share::{Crowd, Share};
pub use shared::{Outbox, STATE_BYTES};
pub use state::State;
pub use state_error::StateError;
pub use state_words::{Described, DescribedTable, Difference};
pub use words::Fact;
