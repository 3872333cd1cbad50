use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::http::{client, read};
use crate::{Cloud, Options, Population, RateLimit, Server, cloud, population::fixed_now};

const KEY: &str = "pnu_right";

async fn start(requests: usize) -> Server {
    let cloud = Cloud {
        limit: RateLimit {
            requests,
            ..RateLimit::HOBBY
        },
        ..Cloud::default()
    };
    let population = Population::small(1, fixed_now());
    Server::start(Options::cloud(population, cloud, KEY))
        .await
        .unwrap()
}

async fn list(url: &str, authorization: Option<&str>) -> (u16, Value) {
    ask(&client(), url, authorization).await
}

async fn ask(client: &reqwest::Client, url: &str, authorization: Option<&str>) -> (u16, Value) {
    let mut request = client.post(format!("{url}/flows/filter")).body("{}");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let got = read(request).await;
    (got.status, got.body)
}

#[tokio::test]
async fn the_key_comes_first_and_then_the_workspace() {
    let server = start(625).await;
    let right = format!("Bearer {KEY}");
    let refusal = json!({ "detail": "Invalid authentication credentials" });
    for wrong in [
        None,
        Some("Bearer pnu_wrong"),
        Some("Basic YTpi"),
        Some(KEY),
    ] {
        for url in [server.url(), server.workspace_url("a", "w")] {
            assert_eq!(list(&url, wrong).await, (401, refusal.clone()), "{wrong:?}");
        }
    }
    assert_eq!(list(&server.url(), Some(&right)).await.0, 200);
    let own = Cloud::default();
    let outside = [
        server.workspace_url("another", &own.workspace),
        server.workspace_url(&own.account, "another"),
        server.url().split("/accounts").next().unwrap().to_owned(),
    ];
    for url in outside {
        assert_eq!(list(&url, Some(&right)).await.0, 404, "{url}");
    }
}

#[tokio::test]
async fn only_collections_are_served() {
    let server = start(625).await;
    let root = server.url();
    for path in [
        "/openapi.json",
        "/admin/version",
        "/admin/settings",
        "/version",
        "/health",
        "/csrf-token",
        "/flows/count",
        "/flow_runs/count",
        "/deployments/count",
    ] {
        assert!(cloud::is_missing(path), "{path}");
        for request in [
            client().get(format!("{root}{path}")),
            client().post(format!("{root}{path}")).body("{}"),
        ] {
            let got = read(request.bearer_auth(KEY)).await;
            let unknown = json!({ "detail": "Not Found" });
            assert_eq!((got.status, got.body), (404, unknown), "{path}");
        }
    }
    assert!(!cloud::is_missing("/flow_runs/filter"));
}

#[tokio::test]
async fn requests_beyond_the_limit_are_rejected_until_the_stated_time() {
    let server = start(625).await;
    let right = format!("Bearer {KEY}");
    let client = client();
    for number in 0..625 {
        let (status, _) = ask(&client, &server.url(), Some(&right)).await;
        assert_eq!(status, 200, "request {number}");
    }
    // An unauthorized request does not count, and gets 401 even when the limit is reached.
    assert_eq!(list(&server.url(), None).await.0, 401);
    assert_eq!(list(&server.url(), Some(&right)).await.0, 429);
    server.with_store(|store| store.advance(TimeDelta::seconds(59)));
    assert_eq!(list(&server.url(), Some(&right)).await.0, 429);
    server.with_store(|store| store.advance(TimeDelta::seconds(1)));
    assert_eq!(list(&server.url(), Some(&right)).await.0, 200);
    let record = server.take_request_log();
    let reported = record.iter().filter_map(|entry| entry.not_before);
    let opening = fixed_now() + TimeDelta::minutes(1);
    assert_eq!(reported.collect::<Vec<_>>(), [opening, opening]);
    let (last, refused) = (record.last().unwrap(), &record[627]);
    assert_eq!((last.status, last.at), (200, opening));
    assert_eq!(
        (refused.status, refused.request.content_length),
        (429, Some(2))
    );
}

#[tokio::test]
async fn a_body_of_unsaid_length_is_refused() {
    let server = start(625).await;
    let (host, path) = {
        let url = server.url();
        let address = url.strip_prefix("http://").unwrap();
        let (host, path) = address.split_once('/').unwrap();
        (host.to_owned(), format!("/{path}/flows/filter"))
    };
    for (length, want) in [
        (
            "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "411",
        ),
        ("content-length: 2\r\n\r\n{}", "200"),
    ] {
        let mut stream = TcpStream::connect(&host).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n"
        );
        stream
            .write_all(format!("{head}{length}").as_bytes())
            .await
            .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(
            response.starts_with(&format!("HTTP/1.1 {want} ")),
            "{response}"
        );
    }
}
