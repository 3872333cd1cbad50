//! The minimum cost of reading all runs: pages by offset, several at once, until a short page.
//!
//! `drop` reads the bodies and discards them; `split` finds the start and the end of each row. The client has the
//! settings of the connector's client. Prints the number of rows (0 for `drop`) and of bytes.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use futures::{StreamExt, stream};
use reqwest::{Client, redirect::Policy};
use serde_json::value::RawValue;

const PAGE: usize = 200;

/// The processing of a page.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Floor {
    Drop,
    Split,
}

/// Reads all flow runs at the minimum cost.
#[derive(Parser)]
struct Arguments {
    floor: Floor,
    /// The number of requests at once.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    /// The server's address, with `/api`.
    url: String,
}

/// The rows and bytes of a page.
struct Seen {
    rows: usize,
    bytes: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let client = client()?;
    let mut pages = stream::iter(0..)
        .map(|page| read(&client, &arguments, page * PAGE))
        .buffered(arguments.in_flight);
    let mut total = Seen { rows: 0, bytes: 0 };
    while let Some(page) = pages.next().await {
        let page = page?;
        total.rows += page.rows;
        total.bytes += page.bytes;
        let last = match arguments.floor {
            // Rows are not counted, so only an empty page shows the end.
            Floor::Drop => page.bytes <= 2,
            Floor::Split => page.rows < PAGE,
        };
        if last {
            break;
        }
    }
    println!("{} {}", total.rows, total.bytes);
    Ok(())
}

async fn read(client: &Client, arguments: &Arguments, offset: usize) -> Result<Seen> {
    let body = format!(r#"{{"limit":{PAGE},"offset":{offset},"sort":"EXPECTED_START_TIME_DESC"}}"#);
    let mut response = client
        .post(format!("{}/flow_runs/filter", arguments.url))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await?;
    ensure!(response.status() == 200, "{}", response.status());
    match arguments.floor {
        Floor::Drop => {
            let mut bytes = 0;
            while let Some(chunk) = response.chunk().await? {
                bytes += chunk.len();
            }
            Ok(Seen { rows: 0, bytes })
        }
        Floor::Split => {
            let body = response.bytes().await?;
            let rows: Vec<&RawValue> = serde_json::from_slice(&body)?;
            Ok(Seen {
                rows: rows.len(),
                bytes: body.len(),
            })
        }
    }
}

fn client() -> Result<Client> {
    // This fails only if a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder()
        .http1_only()
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(4))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(120))
        .redirect(Policy::none())
        .build()?)
}
