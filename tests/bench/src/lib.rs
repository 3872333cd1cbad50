//! What the end-to-end benchmark is made of; `src/bin/bench.rs` puts it together.
//!
//! | module | what it is |
//! |---|---|
//! | [`workspace`], [`latency`] | the fake server's workspace, and a proxy that makes it far away |
//! | [`server`] | the server's process, seen from outside |
//! | [`meter`], [`program`] | wall, CPU and memory of another process |
//! | [`connector`], [`drain`] | the connector's process, and a client that reads a sync cheaply |
//! | [`scenarios`], [`plan`] | what is measured |
//! | [`table`], [`goals`] | what is printed |

pub mod connector;
pub mod drain;
pub mod goals;
pub mod latency;
pub mod meter;
pub mod plan;
pub mod program;
pub mod scenarios;
pub mod server;
pub mod table;
pub mod workspace;
