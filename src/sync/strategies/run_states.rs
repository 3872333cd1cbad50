//! The types of the states of runs.

use crate::prefect::{Filter, IsNull, StateFilter};

/// The terminal state types: a run in such a state changes only when it is edited.
pub(super) const TERMINAL: &[&str] = &["COMPLETED", "FAILED", "CANCELLED", "CRASHED"];

/// The other state types, those of open runs.
pub(super) const OPEN: &[&str] = &["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"];

/// Returns the filter for runs in a state of one of these types.
pub(super) fn in_states(types: &'static [&'static str]) -> Filter {
    Filter {
        state: Some(StateFilter::any(types)),
        ..Filter::default()
    }
}

/// Returns the filter for runs that ended after a start. Most runs without an end time have no start, and PostgreSQL
/// would sort those first.
pub(super) fn ended_after_a_start() -> Filter {
    Filter {
        start_time: Some(IsNull { is_null: false }),
        ..in_states(TERMINAL)
    }
}
