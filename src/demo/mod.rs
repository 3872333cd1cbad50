//! Prefect's semantics in memory, behind HTTP.
