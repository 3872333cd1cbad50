//! What several tests share: real servers, a writer for them, the executable, and the oracle.

pub(crate) mod connector;
pub(crate) mod crowd;
pub(crate) mod dateless_proxy;
pub(crate) mod holding_proxy;
pub(crate) mod oracle;
pub(crate) mod prefect_server;
pub(crate) mod recording_proxy;
pub(crate) mod served;
pub(crate) mod stepping_clock;
pub(crate) mod warehouse;
pub(crate) mod workspace;

use std::path::PathBuf;

/// A path below the checkout's root.
pub(crate) fn in_checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
