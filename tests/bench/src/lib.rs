//! The parts of the end-to-end benchmark, which `src/bin/bench.rs` combines.
//!
//! | module | content |
//! |---|---|
//! | [`workspace`], [`latency`] | the fake server's workspace, and a proxy that adds latency |
//! | [`server`] | the server's process, controlled from outside |
//! | [`meter`], [`program`] | wall time, CPU time and memory of another process |
//! | [`connector`], [`drain`] | the connector's process, and a client that reads a sync cheaply |
//! | [`caller`] | standard gRPC callers |
//! | [`instructions`] | user instructions of a sync, counted by valgrind |
//! | [`scenarios`], [`plan`] | the measurements and their parameters |
//! | [`table`], [`goals`] | the printed tables |

pub mod caller;
pub mod connector;
pub mod drain;
pub mod goals;
pub mod instructions;
pub mod latency;
pub mod meter;
pub mod plan;
pub mod program;
pub mod scenarios;
pub mod server;
pub mod table;
pub mod workspace;
