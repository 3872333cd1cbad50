//! The protocol face: the four calls of Fivetran's `SourceConnector` service.
//!
//! Only this folder names protobuf types.

mod emit;
mod encode;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub mod logging;
pub mod proto;
mod schema;
mod selection;
pub mod server;
mod service;
mod setup;
mod tape;
pub mod wire;

pub use emit::Emitter as Encoder;
pub use service::Service;
pub use tape::{Instruments, Tape};
