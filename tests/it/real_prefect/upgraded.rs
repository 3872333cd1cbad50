//! A server that is upgraded in place, from 2.20 to 3.x, between two syncs.

use std::collections::BTreeSet;

use fivetran_source::tables;
use serde_json::Value;

use crate::support::{
    connector::Connector,
    everything::Everything,
    prefect_server::{Generation, PrefectServer},
    warehouse,
};

/// Tables whose rows the upgrade keeps.
const KEPT: [&str; 8] = [
    "flows",
    "deployments",
    "work_pools",
    "work_queues",
    "flow_runs",
    "task_runs",
    "artifacts",
    "variables",
];

/// Returns the tables and ids of objects that the server lists and the warehouse lacks.
async fn missing(server: &PrefectServer, connector: &Connector) -> Vec<String> {
    let workspace = server.workspace();
    let mut everything = Everything::new(&workspace);
    let mut missing = Vec::new();
    for name in KEPT {
        let table = tables::find(name).unwrap();
        let listed = everything.rows_of(table).await.unwrap();
        let contents = warehouse::contents(&warehouse::open(&connector.warehouse()), table);
        let ids: BTreeSet<String> = listed
            .iter()
            .map(|row| {
                let row: Value = serde_json::from_str(row.get()).unwrap();
                row["id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert!(!ids.is_empty(), "no {name}");
        let lacking = ids.iter().filter(|id| !contents.rows.contains_key(*id));
        missing.extend(lacking.map(|id| format!("{name} {id}")));
    }
    missing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_from_2_20_to_3_loses_nothing() {
    let server = PrefectServer::start(Generation::Two).await;
    let connector = Connector::new(server.url(), 50);
    server.run_flows(None).await;
    connector.sync_everything().await;
    assert_eq!(missing(&server, &connector).await, [""; 0]);

    let server = server.upgrade().await;
    let reported = server.workspace().get("/admin/version").await.unwrap();
    assert!(reported.starts_with("\"3."), "{reported}");
    connector.point_at(server.url(), 50);
    let upgraded = connector.sync_everything().await;
    assert_eq!(upgraded.count("Deletes"), 0, "{upgraded:?}");
    assert_eq!(missing(&server, &connector).await, [""; 0]);
    // The row of `server_info` may still change: it has the capabilities found on the new release.
    let found = connector.sync_everything().await;
    assert!(found.count("Upserts") <= 1, "{found:?}");
    let quiet = connector.sync_everything().await;
    assert_eq!((quiet.count("Upserts"), quiet.count("Deletes")), (0, 0));
}
