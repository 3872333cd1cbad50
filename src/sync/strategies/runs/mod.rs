//! The strategy for runs: several readers share one table, because no server can filter or sort runs by `updated`.
//!
//! ```text
//!  past                                                                       now
//!   |<---------------- backfill: newest to oldest, once ---------------------|T0
//!                                             |<--- ended in (cursor, now] -->|
//!        |<- recheck 3 ->| |<- recheck 2 ->|  |<recheck 1>|  each recheck follows the one before at a lag
//!   open set:  every run that has not ended, at any expected start
//! ```
//!
//! `docs/SYNC.md` explains the readers. Here they are phases of one state machine, taken one after another: each sync
//! runs the live readers, which are all but the backfill, and then continues the backfill. A long backfill is
//! interrupted for the live readers every ten minutes.

mod backfill;
mod backfill_state;
mod change_filter;
mod describe;
#[cfg(test)]
mod document;
mod ended_runs;
mod group;
mod listed_open_runs;
mod open_runs;
mod open_set;
mod outside;
mod outside_filter;
mod phase;
mod ranges;
mod read_log;
mod reader;
mod recheck;
mod rewind;
mod settings_change;
mod state;
mod task;
mod timing;
mod unreadable;
mod unreadable_range;
mod without_end_time;
mod without_ranges;

pub(super) use self::group::RunsGroup;
pub(crate) use self::state::RunsState;
