//! Fivetran's protocol: the four calls of its `SourceConnector` service.
//!
//! Besides this folder, only `replay` uses protobuf types.

mod encode;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz_api;
pub mod health;
mod hooks;
pub mod logging;
mod message_body;
mod message_encoder;
mod schema;
mod selection;
pub mod server;
mod service;
mod setup;
mod update_stream;
pub mod wire;

pub use fivetran_proto as proto;

pub use hooks::{MessageSink, SyncHooks};
pub use message_body::SyncMessages;
pub use message_encoder::MessageEncoder;
pub use service::Service;
pub use update_stream::UpdateStream;
