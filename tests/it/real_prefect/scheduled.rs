//! The local run as a flow of the server that it syncs (`packaging/prefect/sync_flow.py`).

use serde_json::json;

use crate::support::{
    prefect_server::{Generation, PrefectServer},
    warehouse,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_of_prefect_3_syncs_its_own_server() {
    runs_as_a_flow(Generation::Three).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_of_prefect_2_syncs_its_own_server() {
    runs_as_a_flow(Generation::Two).await;
}

async fn runs_as_a_flow(generation: Generation) {
    let server = PrefectServer::start(generation).await;
    let folder = tempfile::tempdir().unwrap();
    let configuration = json!({"api_url": server.url()}).to_string();
    std::fs::write(folder.path().join("configuration.json"), configuration).unwrap();
    let executable = env!("CARGO_BIN_EXE_fivetran_source");
    let arguments = [executable, folder.path().to_str().unwrap()];
    for sync in 1..=2 {
        let result = server
            .run_script(generation.number(), "run_sync_flow.py", &arguments)
            .await;
        assert_eq!(result["succeeded"], true, "sync {sync}: {result}");
    }
    // The second sync has the first run of the flow, with its end.
    let warehouse = warehouse::open(&folder.path().join("files/warehouse.db"));
    let first = "select f.name || ' ' || r.state_type from tester.flow_runs r join tester.flows f on f.id = r.flow_id \
        order by r.start_time limit 1";
    let first: String = warehouse.query_row(first, [], |row| row.get(0)).unwrap();
    assert_eq!(first, "sync-prefect-metadata COMPLETED");
}
