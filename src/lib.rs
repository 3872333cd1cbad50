//! Fivetran source connector for Prefect: every change, exactly once.
//!
//! Data goes one way through the house:
//!
//! | module | what it is |
//! |---|---|
//! | [`tables`] | what a table is: one file of data per Prefect collection |
//! | [`prefect`] | how to talk to a Prefect server: typed reads, retries, errors |
//! | [`rows`] | a JSON object becomes a typed row (pure) |
//! | [`sync`] | when and in what order: strategies (pure), state, the engine that drives them |
//! | [`fivetran`] | the protocol face: the four calls, batches, selection, log lines |
//!
//! Beside it stand [`config`] (answers of the setup form become settings), [`messages`] (what users read),
//! [`error`], [`clock`] and [`telemetry`]; with the feature `local` also `debug` (plays Fivetran into a DuckDB file),
//! `demo` (Prefect's semantics in memory) and `replay` (recorded syncs). `docs/ARCHITECTURE.md` says which may know which.

pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod fivetran;
pub mod messages;
pub mod prefect;
pub mod rows;
pub mod sync;
pub mod tables;
pub mod telemetry;

#[cfg(feature = "local")]
pub mod debug;
#[cfg(feature = "local")]
pub mod demo;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "local")]
pub mod replay;
