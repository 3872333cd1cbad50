//! The chart of request durations.

use std::time::Duration;

use maud::{Markup, html};

use super::{
    axis::{self, Scale},
    elements::{details, label, line, number_table, picture, section},
    format::{Px, count, counted, duration, float},
};
use crate::timeline::{Bucket, RunTrace};

const WIDTH: f64 = 1_140.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 1_108.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 204.0;

pub(super) fn render(seen: &RunTrace) -> Markup {
    let about = "Durations of requests, from sending to the last byte, on a logarithmic scale. Percentiles are accurate \
                 to 2 %.";
    let buckets = seen.latency.buckets();
    let content = html! {
        @if let (Some(first), Some(last)) = (buckets.first(), buckets.last()) {
            (drawing(seen, &buckets, (first.from, last.to)))
            (numbers(seen, &buckets))
        } @else {
            p { "No request was made." }
        }
    };
    section("latency", "Latency", about, &content)
}

fn drawing(seen: &RunTrace, buckets: &[Bucket], (first, last): (Duration, Duration)) -> Markup {
    let (values, ticks) = axis::log_times(first, last);
    let across = Scale::log(values, (LEFT, RIGHT));
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    let up = Scale::linear((0.0, float(most)), (BOTTOM, TOP));
    let content = html! {
        @for (at, text) in axis::counts(most) {
            @let y = up.at(at);
            (line("grid", (LEFT, y), (RIGHT, y)))
            (label("tick end", (LEFT - 6.0, y + 4.0), text))
        }
        @for (at, text) in ticks {
            @let x = across.at(at);
            (line("axis", (x, BOTTOM), (x, BOTTOM + 4.0)))
            (label("tick mid", (x, BOTTOM + 18.0), text))
        }
        @for bucket in buckets.iter().filter(|bucket| bucket.count > 0) {
            (bar(bucket, &across, &up))
        }
        (percentiles(seen, &across))
    };
    picture("Requests by duration", (WIDTH, BOTTOM + 24.0), &content)
}

fn bar(bucket: &Bucket, across: &Scale, up: &Scale) -> Markup {
    let from = across.at(bucket.from.as_secs_f64());
    let to = across.at(bucket.to.as_secs_f64());
    let y = up.at(float(bucket.count));
    let (width, height) = ((to - from - 1.0).max(1.0), BOTTOM - y);
    let tip = format!(
        "{}\n{} to {}",
        counted(bucket.count, "request", "requests"),
        duration(bucket.from),
        duration(bucket.to)
    );
    html! {
        rect x=(Px(from + 0.5)) y=(Px(y)) width=(Px(width)) height=(Px(height)) class="blue"
            data-n=(bucket.count) data-tip=(tip) {}
    }
}

fn numbers(seen: &RunTrace, buckets: &[Bucket]) -> Markup {
    let rows = buckets.iter().map(|bucket| {
        let range = format!("{} to {}", duration(bucket.from), duration(bucket.to));
        vec![range, count(bucket.count)]
    });
    let longest = format!("longest: {}", duration(seen.latency.max()));
    let all = count(seen.statuses.values().sum());
    let table = number_table(&["duration", "requests"], rows, Some(vec![longest, all]));
    details("Numbers by duration", &table)
}

fn percentiles(seen: &RunTrace, across: &Scale) -> Markup {
    // The position of the last label in each row. Labels of lines close to each other are placed in different rows.
    let mut rows = [f64::MIN; 3];
    let known = [50, 95, 99]
        .into_iter()
        .filter_map(|percent| Some((percent, seen.latency.percentile(percent)?)));
    let placed = known.map(|(percent, took)| {
        let x = across.at(took.as_secs_f64());
        let row = rows.iter().position(|last| x - last > 84.0).unwrap_or(0);
        rows[row] = x;
        (percent, took, x, 10.0 + 12.0 * float(row as u64))
    });
    html! {
        @for (percent, took, x, y) in placed {
            (line("mark", (x, y - 8.0), (x, BOTTOM)))
            g data-percentile=(percent) data-us=(took.as_micros()) {
                @let text = format!("p{percent} {}", duration(took));
                @if x + 90.0 < WIDTH {
                    (label("tick", (x + 4.0, y), text))
                } @else {
                    (label("tick end", (x - 4.0, y), text))
                }
            }
        }
    }
}
