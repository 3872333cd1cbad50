//! The parts that several tests share: real servers, a writer for them, the executable, and the oracle.

pub(crate) mod browser;
pub(crate) mod connector;
pub(crate) mod crowd;
pub(crate) mod everything;
pub(crate) mod oracle;
pub(crate) mod prefect_server;
pub(crate) mod served;
pub(crate) mod stepping_clock;
pub(crate) mod warehouse;
pub(crate) mod workspace;

use std::path::PathBuf;

use fivetran_source::{
    fivetran::proto::Selection,
    tables::{self, Table},
};

/// The tables of most tests of the sync engine: one for each strategy that can be simulated.
pub(crate) const CORE: [&str; 3] = ["flows", "deployments", "flow_runs"];

/// Returns the declarations of the core tables.
pub(crate) fn core_tables() -> Vec<&'static Table> {
    let names = CORE.into_iter();
    names
        .map(|name| tables::find(name).expect("a table"))
        .collect()
}

/// Returns a selection of the core tables.
pub(crate) fn core_selection() -> Selection {
    test_support::select(CORE)
}

/// Returns the path of a file in the checkout.
pub(crate) fn in_checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
