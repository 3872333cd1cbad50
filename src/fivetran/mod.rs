//! The protocol face: the four calls of Fivetran's `SourceConnector` service.
//!
//! Only this folder names protobuf types.

mod emit;
pub mod logging;
pub mod proto;
mod schema;
mod selection;
pub mod server;
mod service;
mod setup;

pub use service::Service;
