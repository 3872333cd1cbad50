//! Compiles the workspace's `proto/`, or the folder that `FIVETRAN_PROTO_DIR` names, without `protoc`.

use std::{env, error::Error};

/// The folder of the protocol's files, which is at the top level of the workspace.
const PROTO: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=FIVETRAN_PROTO_DIR");
    let proto = env::var("FIVETRAN_PROTO_DIR").unwrap_or_else(|_| PROTO.to_owned());
    println!("cargo::rerun-if-changed={proto}");
    let descriptors = protox::compile(["connector_sdk.proto"], [proto])?;
    tonic_prost_build::configure()
        // An ordered map, so that equal rows are encoded as equal bytes.
        .btree_map(".fivetran_sdk.v2.Record.data")
        .compile_fds(descriptors)?;
    Ok(())
}
