//! Compiles `proto/` without `protoc`, and points the local run at its DuckDB library.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    let descriptors = protox::compile(["connector_sdk.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Ordered, so that equal rows encode to equal bytes.
        .btree_map(".fivetran_sdk.v2.Record.data")
        .compile_fds(descriptors.clone())?;
    // The same service once more, with messages that are encoded already.
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

    // The local run finds libduckdb where it was linked from (see scripts/fetch-duckdb.sh).
    if env::var_os("CARGO_FEATURE_LOCAL").is_some()
        && let Ok(dir) = env::var("DUCKDB_LIB_DIR")
    {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{dir}");
    }
    Ok(())
}
