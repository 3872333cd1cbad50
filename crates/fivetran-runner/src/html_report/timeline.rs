//! The timeline: a row for each listing, with its requests as bars and its waits hatched.

use std::time::Duration;

use maud::{Markup, html};

use super::{
    axis::{self, Scale},
    elements::{label, legend, line, number_table, picture},
    format::{Px, bytes, count, counted, duration, float},
    overview::shortened,
};
use crate::timeline::{EndpointTrack, Mark, Marks, RunTrace};

const WIDTH: f64 = 1_140.0;
/// The left and right end of the time axis.
const LEFT: f64 = 236.0;
const RIGHT: f64 = 1_046.0;
/// The height of a listing's row, and of the bars in it.
const ROW: f64 = 27.0;
const BAR: f64 = 19.0;
/// The smallest width that is visible.
const SEEN: f64 = 1.2;
/// The most bars above each other.
const MOST_LAYERS: usize = 6;

pub(super) fn render(seen: &RunTrace) -> Markup {
    let about = "One row for each listing of the server; several tables may share a listing. Bars are requests, from \
                 sending to the last byte, stacked where several ran at the same time. Hatched bars are waits: \
                 before a retry, or because the server requested a pause. The setup tests are first, and are not \
                 counted in the totals.";
    let colours = [
        ("blue", "request"),
        ("red", "request with an error or without a response"),
        ("retry", "wait before a retry (▸)"),
        ("turn", "wait for requests_per_minute"),
        ("band", "time in which the tables were read"),
    ];
    let slots = seen
        .timeline_rows()
        .filter_map(|track| track.requests.slot());
    html! {
        @if seen.is_empty() {
            p { "No request was made." }
        } @else {
            h3 { "Timeline" }
            p.about { (about) }
            (drawing(seen))
            (legend(colours))
            @if let Some(slot) = slots.max() { (aggregated(slot)) }
            h3 { "Numbers by listing" }
            (numbers_by_listing(seen))
            h3 { "Responses and waits" }
            (responses_and_waits(seen))
        }
    }
}

fn aggregated(slot: Duration) -> Markup {
    let text = format!(
        "There were too many requests to draw each one. In the rows with the most requests, a bar represents the \
         requests that started within {} or less, and its height the requests in progress. All numbers count every \
         request.",
        duration(slot)
    );
    html! { p.about id="aggregated" { (text) } }
}

fn drawing(seen: &RunTrace) -> Markup {
    let ends = seen.timeline_rows().map(|track| track.requests.sum().to);
    let last = ends.max().unwrap_or_default().max(seen.took);
    let last = last.max(Duration::from_millis(1));
    let scale = Scale::new((0.0, last.as_secs_f64()), (LEFT, RIGHT));
    let bottom = ROW * float(seen.timeline_rows().count() as u64) + 6.0;
    let content = html! {
        (patterns())
        @for (at, text) in axis::times(last.as_secs_f64()) {
            @let x = scale.at(at);
            (line("grid", (x, 2.0), (x, bottom)))
            (label("tick mid", (x, bottom + 16.0), text))
        }
        @for (number, track) in seen.timeline_rows().enumerate() {
            @let y = 4.0 + ROW * float(number as u64);
            @let requests = counted(track.requests.sum().count, "request", "requests");
            g data-listing=(track.name) {
                (label("end", (LEFT - 10.0, y + 14.0), &track.name))
                (label("tick", (RIGHT + 8.0, y + 14.0), requests))
                (lane(track, &scale, (y, last)))
            }
        }
    };
    picture("Timeline of requests", (WIDTH, bottom + 22.0), &content)
}

fn patterns() -> Markup {
    let patterns = [
        ("hatch-retry", "M-1 7L7 -1M-1 1L1 -1M5 7L7 5"),
        ("hatch-turn", "M-1 -1L7 7M5 -1L7 1M-1 5L1 7"),
    ];
    html! {
        defs {
            @for (id, path) in patterns {
                pattern id=(id) width="6" height="6" patternUnits="userSpaceOnUse" {
                    path d=(path) {}
                }
            }
        }
    }
}

/// The position and the width of a span of time; the width is visible.
fn place(scale: &Scale, from: Duration, to: Duration) -> (f64, f64) {
    let from = scale.at(from.as_secs_f64());
    (from, (scale.at(to.as_secs_f64()) - from).max(SEEN))
}

fn lane(track: &EndpointTrack, scale: &Scale, (y, last): (f64, Duration)) -> Markup {
    html! {
        @for (_, from, to) in &track.spans {
            @let (x, width) = place(scale, *from, to.unwrap_or(last));
            rect x=(Px(x)) y=(Px(y - 1.0)) width=(Px(width)) height=(Px(BAR + 2.0)) class="band" {}
        }
        @for mark in track.budget_waits.iter() { (wait(mark, "turn", place(scale, mark.from, mark.to), y)) }
        @for mark in track.retries.iter() {
            @let (x, width) = place(scale, mark.from, mark.to);
            (wait(mark, "retry", (x, width), y))
            path class="again" d={ "M" (Px(x + width)) " " (Px(y + BAR / 2.0)) "l-5 -4v8z" } {}
        }
        (requests(track, scale, y))
    }
}

fn wait(mark: &Mark, class: &str, (x, width): (f64, f64), y: f64) -> Markup {
    let tip = format!(
        "{}\n{} in total, {}",
        counted(mark.count, "wait", "waits"),
        duration(mark.together),
        duration_and_start(mark)
    );
    html! {
        rect x=(Px(x)) y=(Px(y + 3.0)) width=(Px(width)) height=(Px(BAR - 6.0)) class=(class)
            data-n=(mark.count) data-ms=(mark.together.as_millis()) data-tip=(tip) {}
    }
}

fn requests(track: &EndpointTrack, scale: &Scale, y: f64) -> Markup {
    let (layers, places) = layers(&track.requests);
    let most = track
        .requests
        .iter()
        .map(average_requests)
        .fold(1.0, f64::max);
    let is_aggregated = track.requests.slot().is_some();
    let vertical = |mark: &Mark, layer: usize| {
        if is_aggregated {
            let height = (BAR * average_requests(mark) / most).max(2.0);
            (y + BAR - height, height)
        } else {
            let height = BAR / float(layers as u64);
            (y + height * float(layer as u64), height - 0.6)
        }
    };
    html! {
        @for (mark, layer) in track.requests.iter().zip(places) {
            (request(mark, place(scale, mark.from, mark.to), vertical(mark, layer)))
        }
    }
}

fn request(mark: &Mark, (x, width): (f64, f64), (y, height): (f64, f64)) -> Markup {
    let class = if mark.failed > 0 { "red" } else { "blue" };
    let failed = match mark.failed {
        0 => String::new(),
        failed => format!(", {} failed", count(failed)),
    };
    let tip = format!(
        "{}{failed}\n{}, {}",
        counted(mark.count, "request", "requests"),
        bytes(mark.bytes),
        duration_and_start(mark)
    );
    html! {
        rect x=(Px(x)) y=(Px(y)) width=(Px(width)) height=(Px(height)) class=(class)
            data-n=(mark.count) data-failed=(mark.failed) data-bytes=(mark.bytes) data-tip=(tip) {}
    }
}

/// The duration and the start of a mark as text.
fn duration_and_start(mark: &Mark) -> String {
    let took = duration(mark.to.saturating_sub(mark.from));
    format!("{took}, starting at {}", duration(mark.from))
}

/// The average number of requests under way.
fn average_requests(mark: &Mark) -> f64 {
    let span = mark.to.saturating_sub(mark.from).as_secs_f64();
    mark.together.as_secs_f64() / span.max(1e-6)
}

/// Places overlapping bars above each other. Returns the number of layers, and the layer of each bar.
fn layers(marks: &Marks) -> (usize, Vec<usize>) {
    let mut ends: Vec<Duration> = Vec::new();
    let mut places = Vec::new();
    for mark in marks.iter() {
        let free = ends.iter().position(|end| *end <= mark.from);
        let at = free.unwrap_or(ends.len()).min(MOST_LAYERS - 1);
        if at == ends.len() {
            ends.push(mark.to);
        }
        ends[at] = ends[at].max(mark.to);
        places.push(at);
    }
    (ends.len().max(1), places)
}

fn numbers_by_listing(seen: &RunTrace) -> Markup {
    let header = [
        "listing",
        "requests",
        "errors",
        "bytes",
        "rows read",
        "p50",
        "p95",
        "p99",
        "retries",
        "waited",
    ];
    let rows = seen.timeline_rows().map(|track| {
        let sum = track.requests.sum();
        let percentile = |percent| {
            track
                .latency
                .percentile(percent)
                .map_or_else(String::new, duration)
        };
        vec![
            track.name.clone(),
            count(sum.count),
            count(sum.failed),
            bytes(sum.bytes),
            count(track.read),
            percentile(50),
            percentile(95),
            percentile(99),
            count(track.retries.sum().count),
            duration(track.retries.sum().together + track.budget_waits.sum().together),
        ]
    });
    number_table(&header, rows, None)
}

fn responses_and_waits(seen: &RunTrace) -> Markup {
    let statuses = seen.statuses.iter().map(|(status, times)| {
        let status = status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
        vec![status, count(*times)]
    });
    let reasons = seen.reasons.iter();
    let reasons = reasons
        .map(|(why, (times, together))| vec![shortened(why), count(*times), duration(*together)]);
    let header = ["reason for the wait", "times", "total"];
    html! {
        (number_table(&["HTTP status", "requests"], statuses, None))
        @if !seen.reasons.is_empty() { (number_table(&header, reasons, None)) }
    }
}
