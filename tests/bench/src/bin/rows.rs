//! Measures flattening and encoding in one thread, compared with scanning the same bytes.

use std::{hint::black_box, time::Instant};

use anyhow::Result;
use bench::{drain::CORE, workspace};
use fivetran_source::{
    fivetran::MessageEncoder,
    rows::{Context, PageReader, fingerprint},
    sync::{Op, SelectedTable, Selection},
    tables::{self, Table},
};
use prefect_fake::{Collection, query};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

/// The number of repetitions, of which the best counts.
const TIMES: usize = 50;
const ROWS: usize = 200;

/// Returns the best time in seconds, without the time of `make`, which creates the input.
fn best<T>(make: impl Fn() -> T, mut work: impl FnMut(T)) -> f64 {
    (0..TIMES)
        .map(|_| {
            let made = make();
            let start = Instant::now();
            work(made);
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn ops(table: &'static Table, reader: &PageReader, page: String) -> Vec<Op> {
    let rows = reader.read(page).expect("a page").rows;
    let op = |row| Op::Upsert {
        table: table.name,
        row,
    };
    rows.into_iter().map(op).collect()
}

fn measure(name: &str, table: &'static Table, page: &str) {
    let selection = Selection {
        tables: vec![SelectedTable::all(table)],
    };
    let reader = PageReader::new(table, &Context::default());
    let text = || page.to_owned();
    let scan = best(text, |page| {
        let mut json = serde_json::Deserializer::from_str(&page);
        black_box(IgnoredAny::deserialize(&mut json).expect("JSON"));
        // The other measurements include this drop, too.
        drop(page);
    });
    let read = best(text, |page| {
        black_box(reader.read(page).expect("a page"));
    });
    let mut encoder = MessageEncoder::new(&selection);
    let encode = best(text, |page| {
        black_box(encoder.messages(ops(table, &reader, page)));
    });
    let hash = best(text, |page| {
        for row in reader.read(page).expect("a page").rows {
            black_box(fingerprint(&row));
        }
    });
    let per = |seconds: f64| seconds / ROWS as f64 * 1e6;
    println!(
        "{name:<26} {:>5} B/row: scan {:.2} us, read {:.2}, read+encode {:.2} = {:.0} rows/s, {:.2} x scan; read+fingerprint {:.2}",
        page.len() / ROWS,
        per(scan),
        per(read),
        per(encode),
        ROWS as f64 / encode,
        encode / scan,
        per(hash),
    );
}

#[tokio::main]
async fn main() -> Result<()> {
    for table in CORE.into_iter().filter_map(tables::find) {
        let page = format!("[{}]", vec![table.samples[0]; ROWS].join(","));
        measure(table.name, table, &page);
    }
    // A page as the server of the other benchmarks returns it; `bench` compares this measurement with its goals.
    let server = workspace::start(2_000, workspace::RUN_BYTES).await?;
    let body = json!({"sort": "END_TIME_DESC", "limit": ROWS});
    let page = server.with_store(|store| query::list(store, Collection::FlowRuns, &body));
    let page = page.map_err(|reject| anyhow::anyhow!("{reject:?}"))?;
    let table = tables::find("flow_runs").expect("a table");
    measure("flow_runs, benchmark's", table, &page);
    Ok(())
}
