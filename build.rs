//! Compiles `proto/` without `protoc`, and points the local run at its DuckDB library.

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    let descriptors = protox::compile(["connector_sdk.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Ordered, so that equal rows encode to equal bytes.
        .btree_map(".fivetran_sdk.v2.Record.data")
        .compile_fds(descriptors)?;

    // The local run finds libduckdb where it was linked from (see scripts/fetch-duckdb.sh).
    if env::var_os("CARGO_FEATURE_LOCAL").is_some()
        && let Ok(dir) = env::var("DUCKDB_LIB_DIR")
    {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{dir}");
    }
    Ok(())
}
