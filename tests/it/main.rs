//! All integration tests, in one binary.

#[cfg(feature = "local")]
mod probes;
