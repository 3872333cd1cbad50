//! Fivetran source connector for Prefect: every change, exactly once.
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
//! Further modules are [`config`] (parses the values of the setup form), [`messages`] (texts for users), [`error`],
//! [`clock`] and [`telemetry`]; with the feature `local` also `debug` (acts as Fivetran and lands rows in a DuckDB
//! file), `demo` (Prefect's semantics in memory) and `replay` (recorded syncs). `docs/ARCHITECTURE.md` lists the
//! dependencies that are allowed.

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
