//! Fivetran source connector for Prefect: incremental syncs with at-least-once delivery and idempotent upserts.
//!
//! Data passes through these modules in one direction:
//!
//! | module | content |
//! |---|---|
//! | [`tables`] | the tables as data, one file per table |
//! | [`prefect`] | the client of a Prefect server: typed reads, retries, errors |
//! | [`rows`] | conversion of a JSON object to a typed row (pure) |
//! | [`sync`] | the order of reading: strategies (pure), state, the engine that runs them |
//! | [`fivetran`] | Fivetran's protocol: the four calls, batches, selection, log lines |
//!
//! Further modules are [`config`] (parses the values of the setup form), [`messages`] (texts for users) and [`error`];
//! with the feature `local` also `replay` (recorded syncs). `docs/ARCHITECTURE.md` lists the packages of the workspace
//! and the dependencies that are allowed.

pub use sync_clock as clock;
pub use sync_telemetry as telemetry;

pub mod cli;
pub mod config;
pub mod error;
pub mod fivetran;
pub mod messages;
pub mod prefect;
pub mod rows;
pub mod sync;
pub mod tables;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz_api;
#[cfg(feature = "local")]
pub mod replay;
