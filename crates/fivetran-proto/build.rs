//! Compiles the workspace's `proto/` without `protoc`.

use std::error::Error;

/// The folder of the protocol's files, which is at the top level of the workspace.
const PROTO: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let descriptors = protox::compile(["connector_sdk.proto"], [PROTO])?;
    tonic_prost_build::configure()
        // An ordered map, so that equal rows are encoded as equal bytes.
        .btree_map(".fivetran_sdk.v2.Record.data")
        .compile_fds(descriptors)?;
    Ok(())
}
