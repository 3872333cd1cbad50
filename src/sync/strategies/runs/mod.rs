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
//! `docs/SYNC.md` explains the readers, and `docs/RUNS.md` shows them. Each sync plans one [`Task`](task::Task) after
//! another; a task creates the [`Reader`](reader::Reader) that requests its pages:
//!
//! | tasks | files | state |
//! |---|---|---|
//! | ended runs | `ended_runs`, `ended_by_offset` | `live_state::EndedRunsState` |
//! | open runs, old open runs | `open_runs`, `missing_runs` | an `open_set::OpenSet` each |
//! | runs without an end time | `without_end_time` | `live_state::WithoutEndState` |
//! | runs outside of the filter | `outside_filter` | `outside::Outside` |
//! | look-back, rechecks | `recheck`, `recheck_windows`, `read_log` | `live_state::LookBackState`, `RecheckState` |
//! | unreadable runs | `gap_retry`, `gap_log` | `state::RunsState::unreadable` and the other gaps |
//! | backfill | `backfill`, `count_check`, `ranges` | `backfill_state::BackfillState` |
//! | all of them on the oldest servers | `without_ranges` | the same |
//!
//! `runs_sync` plans the tasks and passes responses to the reader, `context` has what the readers share, and
//! `change_filter` decides which rows are sent. `group` reads runs together with the tables that consist of their parts.

mod backfill;
mod backfill_state;
mod change_filter;
mod context;
mod count_check;
mod describe;
#[cfg(test)]
mod document;
mod ended_by_offset;
mod ended_runs;
mod gap_log;
mod gap_retry;
mod group;
mod left_open;
mod listed_open_runs;
mod live_state;
mod missing_runs;
mod open_runs;
mod open_set;
mod outside;
mod outside_filter;
mod ranges;
mod read_log;
mod reader;
mod recheck;
mod recheck_windows;
mod rewind;
mod runs_sync;
mod settings_change;
mod state;
mod stored_live_state;
mod task;
mod timing;
mod unreadable_range;
mod window_progress;
mod without_end_time;
mod without_ranges;

pub(super) use self::group::RunsGroup;
pub(crate) use self::state::RunsState;
