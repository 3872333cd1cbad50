//! All integration tests, in one binary.
//!
//! Most need the feature `local`: the executable's `debug` and DuckDB to look into.

#[cfg(feature = "local")]
mod many_runs;
#[cfg(feature = "local")]
mod real_prefect;
mod rig;
mod support;
mod wire;
