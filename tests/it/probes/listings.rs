//! Shapes of the objects; limits, offsets and sorts of the listings; endpoints that belong to no object.

use serde_json::{Value, json};

use super::asker::Asker;

/// Probes complete objects of each kind.
pub(super) async fn shapes(asker: &mut Asker) {
    for label in ["run s0", "run s3", "run done", "run running", "run waiting"] {
        let path = format!("/flow_runs/{}", asker.id(label));
        asker
            .whole(&format!("shape/{label}"), "GET", &path, None)
            .await;
    }
    for (label, collection) in [
        ("flow a", "flows"),
        ("deployment one", "deployments"),
        ("deployment two", "deployments"),
    ] {
        let path = format!("/{collection}/{}", asker.id(label));
        asker
            .whole(&format!("shape/{label}"), "GET", &path, None)
            .await;
    }
    let body = json!({ "flow_runs": { "id": { "any_": [asker.id("run s1")] } } });
    asker
        .whole("shape/in a list", "POST", "/flow_runs/filter", Some(body))
        .await;
}

pub(super) async fn limits(asker: &mut Asker) {
    for collection in ["flows", "flow_runs", "deployments"] {
        let path = format!("/{collection}/filter");
        for limit in [201, -1, 0] {
            let name = format!("limit/{collection} {limit}");
            asker
                .whole(&name, "POST", &path, Some(json!({ "limit": limit })))
                .await;
        }
        asker
            .whole(
                &format!("offset/{collection} negative"),
                "POST",
                &path,
                Some(json!({ "offset": -1 })),
            )
            .await;
        asker
            .whole(
                &format!("offset/{collection} far"),
                "POST",
                &path,
                Some(json!({ "offset": 1_000_000 })),
            )
            .await;
    }
    for (name, limit) in [
        ("fraction", json!(1.5)),
        ("word", json!("x")),
        ("boolean", json!(true)),
        ("text", json!("2")),
    ] {
        let body = json!({ "limit": limit, "flows": asker.mine(), "sort": "NAME_ASC" });
        asker
            .rows(&format!("limit/{name}"), "/flow_runs/filter", body, true)
            .await;
    }
    asker
        .whole(
            "offset/word",
            "POST",
            "/flow_runs/filter",
            Some(json!({ "offset": "x" })),
        )
        .await;
    let nulls = json!({ "limit": null, "offset": null, "sort": null, "flow_runs": null, "flows": asker.mine() });
    asker.rows("nulls", "/flow_runs/filter", nulls, false).await;
    for (offset, limit) in [(0, 3), (3, 3), (9, 3), (10, 3)] {
        let body =
            json!({ "flows": asker.mine(), "sort": "NAME_DESC", "offset": offset, "limit": limit });
        asker
            .rows(&format!("page/{offset}"), "/flow_runs/filter", body, true)
            .await;
    }
}

pub(super) async fn sorts(asker: &mut Asker) {
    asker
        .runs("sort/NAME_ASC", json!({}), Some("NAME_ASC"))
        .await;
    asker
        .runs(
            "sort/END_TIME_DESC",
            json!({ "state": { "type": { "any_": ["COMPLETED", "FAILED", "CRASHED"] } } }),
            Some("END_TIME_DESC"),
        )
        .await;
    // Ties and nulls may be in any order, so only the sort keys are compared.
    let keys = [
        ("EXPECTED_START_TIME_ASC", "expected_start_time"),
        ("EXPECTED_START_TIME_DESC", "expected_start_time"),
        ("NEXT_SCHEDULED_START_TIME_ASC", "next_scheduled_start_time"),
        ("END_TIME_DESC", "end_time"),
        ("START_TIME_ASC", "start_time"),
        ("START_TIME_DESC", "start_time"),
    ];
    for (sort, key) in keys {
        let body = json!({ "flows": asker.mine(), "sort": sort });
        let got = asker.post("/flow_runs/filter", &body).await;
        let values: Vec<&Value> = got
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row[key])
            .collect();
        asker.note(&format!("sort/keys of {sort}"), json!(values));
    }
    let mut ids: Vec<String> = Vec::new();
    let got = asker
        .post("/flow_runs/filter", &json!({ "flows": asker.mine() }))
        .await;
    ids.extend(
        got.body
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned()),
    );
    asker.note(
        "sort/ids fall by default",
        json!(ids.windows(2).all(|pair| pair[0] > pair[1])),
    );
}

pub(super) async fn others(asker: &mut Asker) {
    for collection in ["flows", "deployments"] {
        let path = format!("/{collection}/filter");
        let mine = json!({ "like_": asker.nonce });
        for sort in ["NAME_ASC", "NAME_DESC", "CREATED_DESC", "UPDATED_DESC"] {
            let body = json!({ collection: { "name": mine }, "sort": sort });
            asker
                .rows(&format!("{collection}/{sort}"), &path, body, true)
                .await;
        }
        for (name, filter) in [
            (
                "all tags",
                json!({ "name": mine, "tags": { "all_": ["x"] } }),
            ),
            (
                "no tags",
                json!({ "name": mine, "tags": { "is_null_": true } }),
            ),
            ("no ids", json!({ "id": { "any_": [] } })),
        ] {
            asker
                .rows(
                    &format!("{collection}/{name}"),
                    &path,
                    json!({ collection: filter }),
                    false,
                )
                .await;
            let count = format!("/{collection}/count");
            asker
                .whole(
                    &format!("{collection}/count {name}"),
                    "POST",
                    &count,
                    Some(json!({ collection: filter })),
                )
                .await;
        }
    }
    let paused =
        json!({ "deployments": { "name": { "like_": asker.nonce }, "paused": { "eq_": true } } });
    asker
        .rows("deployments/paused", "/deployments/filter", paused, false)
        .await;
    let by_flow = json!({ "flows": { "id": { "any_": [asker.id("flow a")] } } });
    asker
        .rows("deployments/by flow", "/deployments/filter", by_flow, false)
        .await;
    let by_deployment =
        json!({ "deployments": { "id": { "any_": [asker.id("deployment one")] } } });
    asker
        .rows(
            "flows/by deployment",
            "/flows/filter",
            by_deployment.clone(),
            false,
        )
        .await;
    asker
        .rows(
            "runs/by deployment",
            "/flow_runs/filter",
            by_deployment,
            false,
        )
        .await;
    let by_run = json!({ "flow_runs": { "id": { "any_": [asker.id("run done")] } } });
    asker
        .rows("flows/by run", "/flows/filter", by_run, false)
        .await;
}

pub(super) async fn service(asker: &mut Asker) {
    let nil = "00000000-0000-0000-0000-000000000000";
    let gets = [
        "/health",
        "/ready",
        "/version",
        "/hello",
        "/admin/version",
        "/csrf-token",
        "/csrf-token?client=x",
        "/nope",
        "/flows/",
        "/flow_runs/filter",
        "/flow_runs/zz",
    ];
    for path in gets {
        asker.whole(&format!("get{path}"), "GET", path, None).await;
    }
    for collection in ["flows", "flow_runs", "deployments"] {
        asker
            .whole(
                &format!("get/{collection} unknown"),
                "GET",
                &format!("/{collection}/{nil}"),
                None,
            )
            .await;
        asker
            .whole(
                &format!("delete/{collection} unknown"),
                "DELETE",
                &format!("/{collection}/{nil}"),
                None,
            )
            .await;
        asker
            .whole(
                &format!("slash/{collection}"),
                "POST",
                &format!("/{collection}/filter/"),
                Some(json!({})),
            )
            .await;
        asker
            .whole(
                &format!("no slash/{collection}"),
                "POST",
                &format!("/{collection}"),
                Some(json!({})),
            )
            .await;
    }
    asker
        .whole(
            "patch unknown",
            "PATCH",
            &format!("/flow_runs/{nil}"),
            Some(json!({ "name": "x" })),
        )
        .await;
    let state = json!({ "state": { "type": "RUNNING" } });
    asker
        .whole(
            "set_state unknown",
            "POST",
            &format!("/flow_runs/{nil}/set_state"),
            Some(state),
        )
        .await;
    let empty = asker.ask("POST", "/flow_runs/count", None).await;
    asker.note(
        "no body",
        json!({ "status": empty.status, "number": empty.body.is_number() }),
    );
    let got = asker.ask("GET", "/health", None).await;
    let headers =
        ["content-length", "content-type", "transfer-encoding"].map(|name| got.headers.get(name));
    asker.note(
        "headers",
        json!({ "headers": headers, "date": got.headers.contains_key("date") }),
    );
}
