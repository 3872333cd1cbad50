//! The start and end of the HTML report: subject, outcome, totals, warnings, tables, footer.

use std::time::Duration;

use maud::{Markup, display, html};

use super::{
    contents::ReportContents,
    elements::{number_table, section},
    files::{KEPT, REPORTS},
    format::{bytes, count, counted, duration, time},
};
use crate::{
    sync_outcome::{SyncOutcome, TableOutcome},
    timeline::RunTrace,
};

/// The most warnings that are shown.
const MOST_WARNINGS: usize = 100;
/// The most characters of a text from the connector.
const LONGEST: usize = 2_000;

pub(super) fn header(report: &ReportContents<'_>) -> Markup {
    let outcome = report.outcome;
    let (class, word) = if outcome.succeeded() {
        ("badge good", "✓ Succeeded")
    } else {
        ("badge bad", "✕ Failed")
    };
    html! {
        header {
            h1 { "Sync report" span class=(class) id="status" { (word) } }
            p.subject {
                span id="subject" { (shortened(report.subject)) }
                " → schema " (report.schema) ", " (time(report.began))
            }
            @if let Some(why) = &outcome.failure {
                p.failure id="failure" { (shortened(why)) }
            }
        }
    }
}

pub(super) fn tiles(outcome: &SyncOutcome, seen: Option<&RunTrace>) -> Markup {
    let operations = outcome.operations;
    let rows = operations.records();
    let about = match operations.deletes {
        0 => "rows sent".to_owned(),
        deletes => format!("rows sent, {} of them deletes", count(deletes)),
    };
    let (took, checkpoints) = (outcome.took, operations.checkpoints);
    html! {
        ul.tiles id="tiles" {
            (tile("rows", rows.into(), &count(rows), &about))
            (tile("duration", took.as_millis(), &duration(took), "duration"))
            (tile("checkpoints", checkpoints.into(), &count(checkpoints), "checkpoints"))
            @if let Some(seen) = seen { (request_tiles(seen)) }
        }
    }
}

fn request_tiles(seen: &RunTrace) -> Markup {
    let requests: u64 = seen.statuses.values().sum();
    let sums = || seen.tracks.iter().map(|track| track.requests.sum());
    let failed: u64 = sums().map(|sum| sum.failed).sum();
    let mut about = match failed {
        0 => "requests".to_owned(),
        failed => format!("requests, {} of them failed", count(failed)),
    };
    if seen.setup_requests() > 0 {
        let more = count(seen.setup_requests());
        about = format!("{about}; {more} more for setup tests");
    }
    let read: u64 = sums().map(|sum| sum.bytes).sum();
    let half = seen.latency.percentile(50).unwrap_or_default();
    let retries = seen.tracks.iter().map(|track| track.retries.sum().count);
    let retries: u64 = retries.sum();
    let waits = seen
        .tracks
        .iter()
        .flat_map(|track| [&track.retries, &track.budget_waits]);
    let waited: Duration = waits.map(|waits| waits.sum().together).sum();
    html! {
        (tile("requests", requests.into(), &count(requests), &about))
        (tile("bytes", read.into(), &bytes(read), "read"))
        (tile("p50", half.as_micros(), &duration(half), "median request"))
        (tile("retries", retries.into(), &count(retries), "retries and pauses"))
        (tile("waited", waited.as_millis(), &duration(waited), "total wait"))
    }
}

fn tile(name: &str, value: u128, shown: &str, about: &str) -> Markup {
    html! {
        li data-tile=(name) data-value=(value) { b { (shown) } span { (about) } }
    }
}

/// The warnings, if there are any.
pub(super) fn warnings(outcome: &SyncOutcome) -> Markup {
    if outcome.warnings.is_empty() {
        return Markup::default();
    }
    let all: u64 = outcome.warnings.iter().map(|(_, times)| times).sum();
    let about = match (all, outcome.warnings.len()) {
        (all, kinds) if kinds as u64 == all => counted(all, "warning.", "warnings."),
        (all, kinds) => format!("{}, {kinds} distinct.", counted(all, "warning", "warnings")),
    };
    let more = outcome.warnings.len().saturating_sub(MOST_WARNINGS);
    let content = html! {
        ul.warnings {
            @for (text, times) in outcome.warnings.iter().take(MOST_WARNINGS) {
                li data-times=(times) { b { (count(*times)) "×" } span { (shortened(text)) } }
            }
        }
        @if more > 0 { p.about { (more) " more texts are in the terminal output." } }
    };
    section("warnings", "Warnings", &about, &content)
}

pub(super) fn tables(outcome: &SyncOutcome) -> Markup {
    let about = if outcome.tables.is_empty() {
        "No table was written."
    } else {
        "Operations of this sync per table, the most first, and the rows in the warehouse now. Deleted rows stay, marked \
         as deleted."
    };
    let content = html! {
        @if !outcome.tables.is_empty() { (operations(outcome)) }
    };
    section("tables", "What changed", about, &content)
}

fn operations(outcome: &SyncOutcome) -> Markup {
    let header = [
        "table",
        "upserts",
        "updates",
        "deletes",
        "truncates",
        "rows now",
        "of them deleted",
    ];
    let mut tables: Vec<&TableOutcome> = outcome.tables.iter().collect();
    tables.sort_by_key(|table| std::cmp::Reverse(numbers(table)[..4].iter().sum::<u64>()));
    let rows = tables.into_iter().map(|table| {
        let numbers = numbers(table).map(count);
        std::iter::once(table.table.clone())
            .chain(numbers)
            .collect()
    });
    let mut sums = [0; 6];
    for table in &outcome.tables {
        for (sum, number) in sums.iter_mut().zip(numbers(table)) {
            *sum += number;
        }
    }
    let sums = std::iter::once("all".to_owned()).chain(sums.map(count));
    number_table(&header, rows, Some(sums.collect()))
}

fn numbers(table: &TableOutcome) -> [u64; 6] {
    let operations = table.operations;
    [
        operations.upserts,
        operations.updates,
        operations.deletes,
        operations.truncates,
        table.rows,
        table.deleted,
    ]
}

pub(super) fn footer(report: &ReportContents<'_>) -> Markup {
    let outcome = report.outcome;
    html! {
        footer {
            p {
                "Warehouse " (display(outcome.warehouse.display()))
                " · state " (display(outcome.state.display()))
                " · fivetran_source " (env!("CARGO_PKG_VERSION"))
                ". This page loads nothing from the network. It shows names and messages of failed runs. The next run \
                 replaces it; the reports of the last " (KEPT) " runs are in the folder " (REPORTS) "."
            }
        }
    }
}

/// The requests, in the collapsed line of their section.
pub(super) fn requests_in_short(seen: &RunTrace) -> String {
    let requests: u64 = seen.statuses.values().sum();
    let read: u64 = seen
        .tracks
        .iter()
        .map(|track| track.requests.sum().bytes)
        .sum();
    let half = seen.latency.percentile(50).unwrap_or_default();
    let requests = counted(requests, "request", "requests");
    format!(
        "{requests}, {} read, median {}",
        bytes(read),
        duration(half)
    )
}

/// Shortens a text from outside to [`LONGEST`] characters.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
