//! All integration tests, in one binary.
//!
//! All modules except `architecture` and `wire` need the feature `local`, which has the executable's `debug` command
//! and DuckDB.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]

mod architecture;
mod wire;

#[cfg(feature = "local")]
mod at_once;
#[cfg(feature = "local")]
mod catalogue;
#[cfg(feature = "local")]
mod chaos;
#[cfg(feature = "local")]
mod cloud;
#[cfg(feature = "local")]
mod conformance;
#[cfg(feature = "local")]
mod failed_recording;
#[cfg(feature = "local")]
mod fivetran_pages;
#[cfg(feature = "local")]
mod html_report;
#[cfg(feature = "local")]
mod load;
#[cfg(feature = "local")]
mod many_runs;
#[cfg(feature = "local")]
mod oracle;
#[cfg(feature = "local")]
mod packaging;
#[cfg(feature = "local")]
mod prefect_server_tests;
#[cfg(feature = "local")]
mod probes;
#[cfg(feature = "local")]
mod proxies;
#[cfg(feature = "local")]
mod python_client;
#[cfg(feature = "local")]
mod queries;
#[cfg(feature = "local")]
mod real_prefect;
#[cfg(feature = "local")]
mod replay;
#[cfg(feature = "local")]
mod scale;
#[cfg(feature = "local")]
mod scale_real;
#[cfg(feature = "local")]
mod secrets;
#[cfg(feature = "local")]
mod service;
#[cfg(feature = "local")]
mod sim;
#[cfg(feature = "local")]
mod state_tools;
#[cfg(feature = "local")]
mod static_executable;
#[cfg(feature = "local")]
mod support;
#[cfg(feature = "local")]
mod terminal;
