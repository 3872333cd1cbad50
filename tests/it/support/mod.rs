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

use fivetran_source::tables::{self, Table};

/// The tables that most tests of the sync engine are about: one of each strategy that can be simulated.
pub(crate) const CORE: [&str; 3] = ["flows", "deployments", "flow_runs"];

/// The same.
pub(crate) fn core_tables() -> Vec<&'static Table> {
    let names = CORE.into_iter();
    names
        .map(|name| tables::find(name).expect("a table"))
        .collect()
}

/// A path below the checkout's root.
pub(crate) fn in_checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
