//! The timeline: a row for each listing, with its requests as bars and its waits hatched.

use std::time::Duration;

use super::{
    axis::{self, Scale},
    elements::{
        close_picture, label, legend, line, number_table, open_details, open_picture, open_section,
        rect,
    },
    html::Html,
    overview::shortened,
    words::{Px, bytes, count, counted, duration, float},
};
use crate::timeline::{EndpointTrack, Mark, Marks, Seen};

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

pub(super) fn section(html: &mut Html, seen: &Seen) {
    let about = "One row for each listing of the server; several tables may share a listing. Bars are requests, from \
                 sending to the last byte, stacked where several ran at the same time. Hatched bars are waits: \
                 before a retry, or because the server requested a pause. The setup tests are first.";
    open_section(html, "timeline", "Timeline of requests", about);
    if seen.tracks.is_empty() {
        html.leaf("p", &[], "No request was made.");
        html.close("section");
        return;
    }
    picture(html, seen);
    legend(
        html,
        &[
            ("blue", "request"),
            ("red", "request with an error or without a response"),
            ("retry", "wait before a retry (▸)"),
            ("turn", "wait for requests_per_minute"),
            ("band", "time in which the tables were read"),
        ],
    );
    let slots = seen.tracks.iter().filter_map(|track| track.requests.slot());
    if let Some(slot) = slots.max() {
        html.leaf(
            "p",
            &[("class", &"about"), ("id", &"aggregated")],
            format_args!(
                "There were too many requests to draw each one. In the rows with the most requests, a bar represents \
                 the requests that started within {} or less, and its height the requests in progress. All \
                 numbers count every request.",
                duration(slot)
            ),
        );
    }
    numbers(html, seen);
    html.close("section");
}

fn picture(html: &mut Html, seen: &Seen) {
    let tracks = seen.tracks.iter();
    let ends = tracks.map(|track| track.requests.sum().to);
    let last = ends.max().unwrap_or_default().max(seen.took);
    let last = last.max(Duration::from_millis(1));
    let scale = Scale::linear((0.0, last.as_secs_f64()), (LEFT, RIGHT));
    let bottom = ROW * float(seen.tracks.len() as u64) + 6.0;
    open_picture(html, "Timeline of requests", (WIDTH, bottom + 22.0));
    patterns(html);
    for (at, text) in axis::times(last.as_secs_f64()) {
        let x = scale.at(at);
        line(html, "grid", (x, 2.0), (x, bottom));
        label(html, "tick mid", (x, bottom + 16.0), text);
    }
    for (number, track) in seen.tracks.iter().enumerate() {
        let y = 4.0 + ROW * float(number as u64);
        html.open("g", &[("data-lane", &track.name)]);
        label(html, "end", (LEFT - 10.0, y + 14.0), &track.name);
        let sum = track.requests.sum();
        label(
            html,
            "tick",
            (RIGHT + 8.0, y + 14.0),
            counted(sum.count, "request", "requests"),
        );
        draw(html, track, &scale, (y, last));
        html.close("g");
    }
    close_picture(html);
}

fn patterns(html: &mut Html) {
    html.open("defs", &[]);
    for (id, path) in [
        ("hatch-retry", "M-1 7L7 -1M-1 1L1 -1M5 7L7 5"),
        ("hatch-turn", "M-1 -1L7 7M5 -1L7 1M-1 5L1 7"),
    ] {
        let six: &'static str = "6";
        html.open(
            "pattern",
            &[
                ("id", &id),
                ("width", &six),
                ("height", &six),
                ("patternUnits", &"userSpaceOnUse"),
            ],
        );
        html.empty("path", &[("d", &path)]);
        html.close("pattern");
    }
    html.close("defs");
}

fn draw(html: &mut Html, track: &EndpointTrack, scale: &Scale, (y, last): (f64, Duration)) {
    let span = |from: Duration, to: Duration| {
        let from = scale.at(from.as_secs_f64());
        (from, (scale.at(to.as_secs_f64()) - from).max(SEEN))
    };
    for (_, from, to) in &track.spans {
        let (x, width) = span(*from, to.unwrap_or(last));
        rect(html, (x, y - 1.0, width, BAR + 2.0), &[("class", &"band")]);
    }
    for (marks, class) in [(&track.budget_waits, "turn"), (&track.retries, "retry")] {
        for mark in marks.iter() {
            let (x, width) = span(mark.from, mark.to);
            let tip = format!(
                "{}\n{} in total, {}",
                counted(mark.count, "wait", "waits"),
                duration(mark.together),
                duration_and_start(mark)
            );
            let place = (x, y + 3.0, width, BAR - 6.0);
            let millis = mark.together.as_millis();
            rect(
                html,
                place,
                &[
                    ("class", &class),
                    ("data-n", &mark.count),
                    ("data-ms", &millis),
                    ("data-tip", &tip),
                ],
            );
            if class == "retry" {
                let (x, y) = (x + width, y + BAR / 2.0);
                let path = format!("M{} {}l-5 -4v8z", Px(x), Px(y));
                html.empty("path", &[("class", &"again"), ("d", &path)]);
            }
        }
    }
    let (layers, places) = layers(&track.requests);
    let most = track
        .requests
        .iter()
        .map(average_requests)
        .fold(1.0, f64::max);
    for (mark, layer) in track.requests.iter().zip(places) {
        let (x, width) = span(mark.from, mark.to);
        let (top, height) = if track.requests.slot().is_some() {
            let height = (BAR * average_requests(mark) / most).max(2.0);
            (y + BAR - height, height)
        } else {
            let height = BAR / float(layers as u64);
            (y + height * float(layer as u64), height - 0.6)
        };
        request(html, mark, (x, top, width, height));
    }
}

fn request(html: &mut Html, mark: &Mark, place: (f64, f64, f64, f64)) {
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
    rect(
        html,
        place,
        &[
            ("class", &class),
            ("data-n", &mark.count),
            ("data-failed", &mark.failed),
            ("data-bytes", &mark.bytes),
            ("data-tip", &tip),
        ],
    );
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

fn numbers(html: &mut Html, seen: &Seen) {
    open_details(html, "Numbers by listing");
    let header = [
        "listing",
        "requests",
        "errors",
        "bytes",
        "rows read",
        "p50",
        "p95",
        "retries",
        "waited",
    ];
    let rows = seen.tracks.iter().map(|track| {
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
            count(track.retries.sum().count),
            duration(track.retries.sum().together + track.budget_waits.sum().together),
        ]
    });
    number_table(html, &header, rows, None);
    html.close("details");
    open_details(html, "Responses and waits");
    let rows = seen.statuses.iter().map(|(status, times)| {
        let status = status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
        vec![status, count(*times)]
    });
    number_table(html, &["HTTP status", "requests"], rows, None);
    if !seen.reasons.is_empty() {
        let reasons = seen.reasons.iter();
        let rows = reasons.map(|(why, (times, together))| {
            vec![shortened(why), count(*times), duration(*together)]
        });
        number_table(html, &["reason for the wait", "times", "total"], rows, None);
    }
    html.close("details");
}
