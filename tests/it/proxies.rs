//! Proxies that the environment names: when they are used, and whose refusal a refusal is.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use prefect_fake::{Options, Population, Server, population::fixed_now};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    task::{JoinHandle, spawn_blocking},
};

/// The credentials in the proxy's address.
const SECRET: &str = "canary-7d20";
/// A name that no server has.
const HOST: &str = "prefect.invalid";

/// A proxy that sends the same response to every request, and records the request lines.
struct FixedProxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl FixedProxy {
    async fn start(status: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let mut connection = BufReader::new(connection);
                let mut lines = Vec::new();
                let mut line = String::new();
                while connection
                    .read_line(&mut line)
                    .await
                    .is_ok_and(|read| read > 2)
                {
                    lines.push(std::mem::take(&mut line));
                }
                log.lock().unwrap().extend(lines.into_iter().take(1));
                let length = body.len();
                let response = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = connection.write_all(response.as_bytes()).await;
            }
        });
        Self {
            address,
            asked,
            serving,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for FixedProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Runs `check` for the address with these variables, and returns its output.
async fn check(api_url: &str, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.json");
    std::fs::write(&file, json!({ "api_url": api_url }).to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
    command.args(["check", "--configuration"]).arg(file);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(variables.iter().copied());
    let output = spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_this_machine_is_reached_without_a_proxy() {
    let prefect = Server::start(Options::new(Population::small(3, fixed_now())))
        .await
        .unwrap();
    let proxy = FixedProxy::start("502 Bad Gateway", "").await;
    let address = format!("http://{}", proxy.address);
    for variable in ["HTTP_PROXY", "ALL_PROXY"] {
        let said = check(&prefect.url(), &[(variable, &address)]).await;
        assert!(!said.contains("FAILED"), "{variable}: {said}");
    }
    assert_eq!(proxy.asked(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_by_a_proxy_is_reported_as_the_proxys() {
    let page = "<html>denied</html>";
    let cases = [
        (
            "http",
            "407 Proxy Authentication Required",
            page,
            "requires credentials (407)",
        ),
        (
            "http",
            "403 Forbidden",
            page,
            "does not allow the request (403)",
        ),
        // Prefect's own refusal, which the proxy passes on.
        (
            "http",
            "403 Forbidden",
            r#"{"detail":"no"}"#,
            "prefect.invalid denies access",
        ),
        (
            "https",
            "407 Proxy Authentication Required",
            page,
            "requires credentials (407)",
        ),
        (
            "https",
            "403 Forbidden",
            page,
            "the proxy does not connect to it",
        ),
    ];
    for (scheme, status, body, expected) in cases {
        let proxy = FixedProxy::start(status, body).await;
        let address = format!("http://user:{SECRET}@{}", proxy.address);
        let variable = format!("{}_PROXY", scheme.to_uppercase());
        let url = format!("{scheme}://{HOST}/api");
        let said = check(&url, &[(&variable, &address)]).await;
        assert!(said.contains(expected), "{scheme} {status}: {said}");
        let names_proxy = said.contains(&format!("proxy {}", proxy.address));
        assert_eq!(names_proxy, body == page, "{scheme} {status}: {said}");
        assert!(!said.contains(SECRET), "{said}");
        let asked = proxy.asked();
        assert!(asked[0].contains(HOST), "{asked:?}");
        if status.starts_with("407") {
            assert_eq!(asked.len(), 1, "a 407 is not repeated");
        }
        // The variable of excluded hosts is honoured.
        let said = check(&url, &[(&variable, &address), ("NO_PROXY", HOST)]).await;
        assert!(said.contains("the host name is not known"), "{said}");
        assert_eq!(proxy.asked().len(), asked.len(), "{said}");
    }
}
