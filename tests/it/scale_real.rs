//! The cost of a sync for a real server with 100,000 runs: `make scale-real`.
//!
//! The runs are written into the server's SQLite database; a proxy measures the server's time for each request. Mostly
//! ratios are checked, because the speed of the machine says nothing about the connector. Only pages of open runs have
//! an absolute limit.

#![expect(clippy::print_stdout, reason = "its table is what it is for")]

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use test_support::{Exchange, HttpProxy, Rule};

use crate::support::{connector::Connector, crowd::Crowd, prefect_server::Generation};

/// The numbers of runs at which a first sync is measured.
const SIZES: [usize; 3] = [10_000, 50_000, 100_000];

/// Arguments of `seed.py`: one run in 500 is open, and about a thousand runs start each day.
const SEED: [&str; 2] = ["--open-share=500", "--minutes=4"];

const PAGE: u32 = 200;

/// The upper bound of the growth: the time of a page of the oldest tenth divided by the newest.
const MOST_GROWTH: f64 = 1.5;

/// The upper bound of the time of a page of open runs.
const MOST_FOR_OPEN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: make scale-real"]
async fn a_hundred_thousand_runs_on_prefect_3() {
    a_hundred_thousand_runs(Generation::Three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: make scale-real"]
async fn a_hundred_thousand_runs_on_prefect_2() {
    a_hundred_thousand_runs(Generation::Two).await;
}

async fn a_hundred_thousand_runs(generation: Generation) {
    let mut crowd = Crowd::begin(generation).await;
    let proxy = HttpProxy::start(crowd.server.url()).await;
    println!(
        "\nPrefect {generation:?} on SQLite, {PAGE} rows a page, times in ms as the server took them"
    );
    println!(
        "first sync of      took   rows/s   one by one   pages of runs: number, by tenth (median), last : first"
    );
    let mut growths = Vec::new();
    for runs in SIZES {
        crowd.grow(runs, &SEED).await;
        // Overlapping requests slow each other down, so pages are compared in a sync without concurrency.
        let alone = Connector::one_by_one(proxy.url(), PAGE);
        let (took_alone, _) = first_sync(&proxy, &alone, runs).await;
        let exchanges = proxy.take_exchanges();
        let connector = Connector::new(proxy.url(), PAGE);
        let (took, rows) = first_sync(&proxy, &connector, runs).await;
        print!(
            "{runs:>7} runs  {took:>7.1} s  {:>7.0}   {took_alone:>8.1} s   ",
            rows / took
        );
        growths.push(growth(&exchanges));
        proxy.take_exchanges();
        if runs == SIZES[2] {
            quiet_syncs(&proxy, &connector).await;
        }
    }
    assert!(
        growths.iter().all(|growth| *growth < MOST_GROWTH),
        "a page of the last tenth to one of the first: {growths:?}"
    );
}

/// Runs a first sync, and returns its duration in seconds and its number of rows.
async fn first_sync(proxy: &HttpProxy, connector: &Connector, runs: usize) -> (f64, f64) {
    proxy.take_exchanges();
    let began = Instant::now();
    let report = connector.sync().await;
    let took = began.elapsed().as_secs_f64();
    let rows = report.count("Upserts");
    assert_eq!(rows, runs as u64 + 2, "a flow and a deployment, too");
    (took, f64::from(u32::try_from(rows).unwrap()))
}

/// Returns the median time of a page of the last tenth divided by that of the first.
fn growth(exchanges: &[Exchange]) -> f64 {
    let pages: Vec<_> = exchanges
        .iter()
        .filter(|exchange| exchange.path == "/flow_runs/filter")
        .collect();
    let tenths = tenths(&pages);
    let medians: Vec<_> = tenths.iter().map(|tenth| millis(tenth.median)).collect();
    let growth = |of: fn(&Tenth) -> Duration| of(&tenths[9]).div_duration_f64(of(&tenths[0]));
    println!(
        "{:>5}: {}   {:.2} (of the means {:.2})",
        pages.len(),
        medians.join(" "),
        growth(|tenth| tenth.median),
        growth(|tenth| tenth.mean),
    );
    growth(|tenth| tenth.median)
}

/// Measures quiet syncs: at once, an hour later, and a day later, when old open runs are read, too.
async fn quiet_syncs(proxy: &HttpProxy, connector: &Connector) {
    println!("quiet sync after  rows  requests, slowest   pages of open runs, median, slowest");
    for hours in [0, 1, 26] {
        proxy.set_rules([Rule::dates_ahead(TimeDelta::hours(hours))]);
        let report = connector.sync().await;
        let rows = report.count("Upserts") + report.count("Deletes");
        let exchanges = proxy.take_exchanges();
        let all = sorted(exchanges.iter());
        let open = sorted(exchanges.iter().filter(|exchange| is_open_set(exchange)));
        println!(
            "{hours:>14} h  {rows:>4}  {:>8} {:>8}   {:>18} {:>7} {:>8}",
            all.len(),
            millis(all[all.len() - 1]),
            open.len(),
            millis(open[open.len() / 2]),
            millis(open[open.len() - 1]),
        );
        assert_eq!(rows, 0);
        assert!(open[open.len() - 1] < MOST_FOR_OPEN, "{open:?}");
    }
}

/// Returns true if the request is for runs in states that are not terminal.
fn is_open_set(exchange: &Exchange) -> bool {
    let states = &exchange.request_body["flow_runs"]["state"]["type"]["any_"];
    states
        .as_array()
        .is_some_and(|states| states.iter().any(|state| state == "RUNNING"))
}

struct Tenth {
    median: Duration,
    mean: Duration,
}

fn tenths(pages: &[&Exchange]) -> Vec<Tenth> {
    (0..10)
        .map(|tenth| {
            let [from, to] = [tenth, tenth + 1].map(|at| at * pages.len() / 10);
            let took = sorted(pages[from..to].iter().copied());
            Tenth {
                median: took[took.len() / 2],
                mean: took.iter().sum::<Duration>() / u32::try_from(took.len()).unwrap(),
            }
        })
        .collect()
}

/// Returns the durations of the requests, the longest last.
fn sorted<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> Vec<Duration> {
    let mut took: Vec<_> = exchanges.map(|each| each.took).collect();
    took.sort();
    took
}

fn millis(took: Duration) -> String {
    format!("{:.0}", took.as_secs_f64() * 1_000.0)
}
