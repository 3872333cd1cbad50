//! What several tests share: real servers, a writer for them, the executable, and the oracle.

#[cfg(feature = "local")]
pub(crate) mod connector;
#[cfg(feature = "local")]
pub(crate) mod holding_proxy;
#[cfg(feature = "local")]
pub(crate) mod oracle;
pub(crate) mod prefect_server;
#[cfg(feature = "local")]
pub(crate) mod warehouse;
pub(crate) mod workspace;

use std::path::PathBuf;

/// A path below the checkout's root.
pub(crate) fn in_checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
