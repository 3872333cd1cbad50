//! A tag's concurrency limit that the server omits from its own listing, because 200 other limits precede it.

use fivetran_source::tables;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    connector::{Connector, Report},
    prefect_server::{Generation, PrefectServer},
    warehouse::{self, Cell, Contents},
};

fn limits(connector: &Connector) -> Contents {
    let table = tables::find("concurrency_limits").unwrap();
    warehouse::contents(&warehouse::open(&connector.warehouse()), table)
}

fn changes(report: &Report) -> (u64, u64) {
    (report.count("Upserts"), report.count("Deletes"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tags_limit_behind_200_other_limits_arrives_changes_and_is_deleted() {
    let server = PrefectServer::start(Generation::Three).await;
    let workspace = server.workspace();
    let send = async |method: Method, path: &str, body: &Value| {
        let body = body.to_string();
        let answer = workspace.send_text(method, path, Some(&body)).await;
        answer.unwrap()
    };
    let limit = json!({ "tag": "warehouse", "concurrency_limit": 3 });
    let made = send(Method::POST, "/concurrency_limits/", &limit).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap();
    for number in 0..200 {
        let other = json!({ "name": format!("other-{number}"), "limit": 1 });
        send(Method::POST, "/v2/concurrency_limits/", &other).await;
    }
    let listed = send(Method::POST, "/concurrency_limits/filter", &json!({})).await;
    assert_eq!(listed, "[]", "the server shows it now: is all this needed?");

    let connector = Connector::new(server.url(), 200);
    connector.sync_everything().await;
    let value = |name: &str| {
        let table = tables::find("concurrency_limits").unwrap();
        let position = table.position(name).unwrap();
        let contents = limits(&connector);
        contents.rows.get(id).map(|row| row[position].clone())
    };
    assert_eq!(value("tag"), Some(Cell::Text("warehouse".to_owned())));
    assert_eq!(value("concurrency_limit"), Some(Cell::Long(3)));
    assert_eq!(changes(&connector.sync_everything().await), (0, 0));

    let limit = json!({ "tag": "warehouse", "concurrency_limit": 4 });
    send(Method::POST, "/concurrency_limits/", &limit).await;
    // The row of the global limit changes, too.
    assert_eq!(changes(&connector.sync_everything().await), (2, 0));
    assert_eq!(value("concurrency_limit"), Some(Cell::Long(4)));

    workspace.delete("/concurrency_limits", id).await;
    assert_eq!(changes(&connector.sync_everything().await), (0, 2));
    assert_eq!(limits(&connector).deleted, [id]);
    assert_eq!(changes(&connector.sync_everything().await), (0, 0));
}
