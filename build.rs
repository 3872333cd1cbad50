//! Compiles `proto/` without `protoc`, and sets the path of the local run's DuckDB library.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    let descriptors = protox::compile(["connector_sdk.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // An ordered map, so that equal rows are encoded as equal bytes.
        .btree_map(".fivetran_sdk.v2.Record.data")
        .compile_fds(descriptors.clone())?;
    // The same service again, for messages that are already encoded.
    let server = PathBuf::from(env::var("OUT_DIR")?).join("server");
    fs::create_dir_all(&server)?;
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".fivetran_sdk.v2", "crate::fivetran::proto")
        .extern_path(
            ".fivetran_sdk.v2.UpdateResponse",
            "crate::fivetran::wire::Encoded",
        )
        .out_dir(server)
        .compile_fds(descriptors)?;

    // The local run loads libduckdb from the folder that it was linked with (see scripts/fetch-duckdb.sh).
    if env::var_os("CARGO_FEATURE_LOCAL").is_some()
        && let Ok(dir) = env::var("DUCKDB_LIB_DIR")
    {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{dir}");
    }
    Ok(())
}
