//! An artifact that the server cannot return until it is repaired.

use fivetran_source::tables;
use reqwest::Method;
use serde_json::Value;

use crate::support::{
    connector::Connector,
    prefect_server::{Generation, PrefectServer},
    warehouse,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_arrives_when_the_server_can_show_it_again() {
    let server = PrefectServer::start(Generation::Three).await;
    let workspace = server.workspace();
    let mut ids = Vec::new();
    for number in 0..6 {
        let body =
            format!(r#"{{"key": "report-{number}", "type": "markdown", "data": "{number}"}}"#);
        let made = workspace.send_text(Method::POST, "/artifacts/", Some(&body));
        let made: Value = serde_json::from_str(&made.await.unwrap()).unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        // Long ago: the next sync reads the changes just before a sync again anyway.
        let updated = format!("2026-01-0{} 00:00:00.000000", number + 1);
        server.put("artifact", "updated", &id, &updated).await;
        ids.push(id);
    }
    let broken = &ids[2];
    let before = server.put("artifact", "data", broken, "{no JSON").await;
    let connector = Connector::new(server.url(), 200);
    let arrived = || {
        let table = tables::find("artifacts").unwrap();
        let contents = warehouse::contents(&warehouse::open(&connector.warehouse()), table);
        let there = ids.iter().filter(|id| contents.rows.contains_key(*id));
        (there.count(), contents.rows.contains_key(broken))
    };
    connector.sync_everything().await;
    assert_eq!(arrived(), (5, false));
    connector.sync_everything().await;
    assert_eq!(arrived(), (5, false));

    server.put("artifact", "data", broken, &before).await;
    let report = connector.sync_everything().await;
    assert_eq!(arrived(), (6, true));
    assert_eq!((report.count("Upserts"), report.count("Deletes")), (1, 0));
    let quiet = connector.sync_everything().await;
    assert_eq!((quiet.count("Upserts"), quiet.count("Deletes")), (0, 0));
}
