//! Fivetran's protocol: the four calls of its `SourceConnector` service.
//!
//! Besides this folder, only `replay` uses protobuf types.

mod emit;
mod encode;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub mod logging;
mod schema;
mod selection;
pub mod server;
mod service;
mod setup;
mod tape;
pub mod wire;

pub use fivetran_proto as proto;

pub use emit::Emitter as Encoder;
pub use service::Service;
pub use tape::{Instruments, Tape};
