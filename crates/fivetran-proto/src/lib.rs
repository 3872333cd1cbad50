//! The generated messages and services of `proto/`.

#![allow(
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    reason = "generated code"
)]

tonic::include_proto!("fivetran_sdk.v2");
