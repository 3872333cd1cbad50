//! Tests of the HTML report as text. The tests in a browser are in `tests/it/html_report`.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::*;
use crate::{
    sync_outcome::SyncOutcome,
    timeline::{Route, RunTrace, Timeline},
};
use sync_clock::SystemClock;
use sync_telemetry::{Event, Observer as _, WindowKind};

/// As many listings as a full sync has.
const PATHS: [&str; 22] = [
    "/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j", "/k", "/l", "/m", "/n", "/o", "/p",
    "/q", "/r", "/s", "/t", "/u", "/v",
];

fn page<'a>(outcome: &'a SyncOutcome, heard: TelemetrySource<'a>) -> ReportContents<'a> {
    ReportContents {
        subject: "http://127.0.0.1:4200/api",
        began: DateTime::<Utc>::UNIX_EPOCH,
        outcome,
        heard,
        schema: "tester",
        charts: &[],
    }
}

#[test]
fn the_size_of_a_report_is_bounded() {
    let routes = PATHS.iter().map(|path| Route {
        path,
        tables: vec![path],
    });
    let timeline = Timeline::new(Arc::new(SystemClock), routes.collect());
    for number in 0..2_000_u64 {
        for path in PATHS {
            timeline.observe(&Event::Request {
                path: path.to_owned(),
                status: Some(200),
                bytes: number,
                took: Duration::from_micros(number),
            });
            timeline.observe(&Event::Wait {
                path: path.to_owned(),
                why: format!("reason {number}"),
                wait: Duration::from_micros(number),
            });
            let from = DateTime::from_timestamp(i64::try_from(number).unwrap() * 100, 0);
            timeline.observe(&Event::Window {
                table: path,
                kind: WindowKind::new(4, "recheck").after(Duration::from_secs(60 * (number % 7))),
                from,
                to: from,
                now: from,
            });
        }
    }
    let outcome = SyncOutcome {
        warnings: (0..1_001)
            .map(|number| (format!("{number} {}", "w".repeat(9_000)), 1))
            .collect(),
        ..SyncOutcome::default()
    };
    let seen = timeline.seen();
    let text = render(&page(&outcome, TelemetrySource::Everything(&seen)));
    assert!(text.len() < 1_000_000, "{}", text.len());
    assert!(text.contains("id=\"aggregated\""));
    assert!(text.contains("901 more texts"));
    // The number of bars is limited, and every request is still counted.
    let counts = text.split("data-n=\"").skip(1);
    let counts = counts.filter_map(|rest| rest.split_once('"'));
    let with_failed = counts.filter(|(_, rest)| rest.starts_with(" data-failed"));
    let counted: Vec<u64> = with_failed
        .map(|(count, _)| count.parse().unwrap())
        .collect();
    assert!(counted.len() <= MOST_BARS, "{}", counted.len());
    assert_eq!(counted.iter().sum::<u64>(), 2_000 * PATHS.len() as u64);
}

#[test]
fn a_page_without_requests_says_why() {
    let outcome = SyncOutcome::default();
    let text = render(&page(
        &outcome,
        TelemetrySource::Nothing("It runs elsewhere."),
    ));
    assert!(text.contains("It runs elsewhere."));
    assert!(!text.contains("<details"));
    let text = render(&page(
        &outcome,
        TelemetrySource::Everything(&RunTrace::default()),
    ));
    assert!(text.contains("No request was made."));
}
