//! The generated messages and services of `proto/`.

#![allow(
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    reason = "generated code"
)]

/// The size of the largest message that Fivetran accepts, in bytes (Partner SDK, development guide).
pub const MAX_MESSAGE_BYTES: usize = 128 << 20;

tonic::include_proto!("fivetran_sdk.v2");
