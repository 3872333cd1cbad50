//! Plays Fivetran over real gRPC, into a DuckDB file.
