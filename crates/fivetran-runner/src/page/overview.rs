//! The start and end of the HTML report: subject, outcome, totals, warnings, tables, footer.

use super::{
    contents::Page,
    elements::{number_table, open_section},
    html::Html,
    words::{bytes, count, counted, duration, time},
};
use crate::{
    outcome::{Outcome, TableOutcome},
    timeline::Seen,
};

/// The most warnings that are shown.
const MOST_WARNINGS: usize = 100;
/// The most characters of a text from the connector.
const LONGEST: usize = 2_000;

pub(super) fn header(html: &mut Html, page: &Page<'_>) {
    let outcome = page.outcome;
    html.open("header", &[]);
    html.open("h1", &[]);
    html.text("Sync report");
    let (class, word) = if outcome.succeeded() {
        ("badge good", "✓ Succeeded")
    } else {
        ("badge bad", "✕ Failed")
    };
    html.leaf("span", &[("class", &class), ("id", &"status")], word);
    html.close("h1");
    html.open("p", &[("class", &"subject")]);
    html.leaf("span", &[("id", &"subject")], shortened(page.subject));
    html.text(format_args!(
        " → schema {}, {}",
        page.schema,
        time(page.began)
    ));
    html.close("p");
    if let Some(why) = &outcome.failure {
        html.leaf(
            "p",
            &[("class", &"failure"), ("id", &"failure")],
            shortened(why),
        );
    }
    html.close("header");
}

pub(super) fn tiles(html: &mut Html, outcome: &Outcome, seen: Option<&Seen>) {
    html.open("ul", &[("class", &"tiles"), ("id", &"tiles")]);
    let mut tile = |name: &'static str, value: u128, shown: String, about: String| {
        html.open("li", &[("data-tile", &name), ("data-value", &value)]);
        html.leaf("b", &[], shown);
        html.leaf("span", &[], about);
        html.close("li");
    };
    let operations = outcome.operations;
    let rows = sent(outcome);
    let about = match operations.deletes {
        0 => "rows sent".to_owned(),
        deletes => format!("rows sent, {} of them deletes", count(deletes)),
    };
    tile("rows", rows.into(), count(rows), about);
    tile(
        "duration",
        outcome.took.as_millis(),
        duration(outcome.took),
        "duration".to_owned(),
    );
    let checkpoints = operations.checkpoints;
    tile(
        "checkpoints",
        checkpoints.into(),
        count(checkpoints),
        "checkpoints".to_owned(),
    );
    let Some(seen) = seen else {
        html.close("ul");
        return;
    };
    let requests: u64 = seen.statuses.values().sum();
    let failed: u64 = seen
        .tracks
        .iter()
        .map(|track| track.requests.sum().failed)
        .sum();
    let about = match failed {
        0 => "requests".to_owned(),
        failed => format!("requests, {} of them failed", count(failed)),
    };
    tile("requests", requests.into(), count(requests), about);
    let read: u64 = seen
        .tracks
        .iter()
        .map(|track| track.requests.sum().bytes)
        .sum();
    tile("bytes", read.into(), bytes(read), "read".to_owned());
    let half = seen.latency.percentile(50).unwrap_or_default();
    tile(
        "p50",
        half.as_micros(),
        duration(half),
        "median request".to_owned(),
    );
    let retries: u64 = seen
        .tracks
        .iter()
        .map(|track| track.retries.sum().count)
        .sum();
    tile(
        "retries",
        retries.into(),
        count(retries),
        "retries and pauses".to_owned(),
    );
    let waits = seen
        .tracks
        .iter()
        .flat_map(|track| [&track.retries, &track.budget_waits]);
    let waited = waits.map(|waits| waits.sum().together).sum();
    tile(
        "waited",
        std::time::Duration::as_millis(&waited),
        duration(waited),
        "total wait".to_owned(),
    );
    html.close("ul");
}

pub(super) fn warnings(html: &mut Html, outcome: &Outcome) {
    let all: u64 = outcome.warnings.iter().map(|(_, times)| times).sum();
    let about = match (all, outcome.warnings.len()) {
        (0, _) => "None.".to_owned(),
        (all, kinds) if kinds as u64 == all => counted(all, "warning.", "warnings."),
        (all, kinds) => format!("{}, {kinds} distinct.", counted(all, "warning", "warnings")),
    };
    open_section(html, "warnings", "Warnings", &about);
    if !outcome.warnings.is_empty() {
        html.open("ul", &[("class", &"warnings")]);
        for (text, times) in outcome.warnings.iter().take(MOST_WARNINGS) {
            html.open("li", &[("data-times", times)]);
            html.leaf("b", &[], format_args!("{}×", count(*times)));
            html.leaf("span", &[], shortened(text));
            html.close("li");
        }
        html.close("ul");
    }
    if let Some(more) = outcome
        .warnings
        .get(MOST_WARNINGS..)
        .filter(|more| !more.is_empty())
    {
        let more = more.len();
        html.leaf(
            "p",
            &[("class", &"about")],
            format_args!("{more} more texts are in the terminal output."),
        );
    }
    html.close("section");
}

pub(super) fn tables(html: &mut Html, outcome: &Outcome) {
    let about = if outcome.tables.is_empty() {
        "No table was written."
    } else {
        "Operations of this sync per table, and the rows in the warehouse now. Deleted rows stay, marked as deleted."
    };
    open_section(html, "tables", "Tables", about);
    if !outcome.tables.is_empty() {
        let header = [
            "table",
            "upserts",
            "updates",
            "deletes",
            "truncates",
            "rows now",
            "of them deleted",
        ];
        let rows = outcome.tables.iter().map(|table| {
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
        number_table(html, &header, rows, Some(sums.collect()));
    }
    html.close("section");
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

pub(super) fn footer(html: &mut Html, page: &Page<'_>) {
    html.open("footer", &[]);
    let version = env!("CARGO_PKG_VERSION");
    html.leaf(
        "p",
        &[],
        format_args!(
            "Warehouse {} · state {} · fivetran_source {version}. This page loads nothing from the network; the next run \
             replaces it.",
            page.outcome.warehouse.display(),
            page.outcome.state.display()
        ),
    );
    html.close("footer");
}

/// The number of rows that a sync sent.
pub(super) fn sent(outcome: &Outcome) -> u64 {
    let operations = outcome.operations;
    operations.upserts + operations.updates + operations.deletes
}

/// Shortens a text from outside to [`LONGEST`] characters.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
