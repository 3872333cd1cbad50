//! The local run against a scripted connector, over real gRPC.

mod calls;
mod comments;
mod fake;
mod history;
mod kills;
mod landing_cost;
mod memory;
mod operations;
mod process;
mod selection;
mod shapes;
mod states;
mod sync_log;
mod types;
