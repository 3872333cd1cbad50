//! The chart of request durations.

use super::{
    axis::{self, Scale},
    elements::{
        close_picture, label, line, number_table, open_details, open_picture, open_section, rect,
    },
    html::Html,
    words::{count, counted, duration, float},
};
use crate::timeline::Seen;

const WIDTH: f64 = 1_140.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 1_108.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 204.0;

pub(super) fn section(html: &mut Html, seen: &Seen) {
    let about = "Durations of requests, from sending to the last byte, on a logarithmic scale. Percentiles are accurate \
                 to 2 %.";
    open_section(html, "latency", "Latency", about);
    let buckets = seen.latency.buckets();
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
        html.leaf("p", &[], "No request was made.");
        html.close("section");
        return;
    };
    let (values, ticks) = axis::log_times(first.from, last.to);
    let across = Scale::log(values, (LEFT, RIGHT));
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    let up = Scale::linear((0.0, float(most)), (BOTTOM, TOP));
    open_picture(html, "Requests by duration", (WIDTH, BOTTOM + 24.0));
    for (at, text) in axis::counts(most) {
        let y = up.at(at);
        line(html, "grid", (LEFT, y), (RIGHT, y));
        label(html, "tick end", (LEFT - 6.0, y + 4.0), text);
    }
    for (at, text) in ticks {
        let x = across.at(at);
        line(html, "axis", (x, BOTTOM), (x, BOTTOM + 4.0));
        label(html, "tick mid", (x, BOTTOM + 18.0), text);
    }
    for bucket in buckets.iter().filter(|bucket| bucket.count > 0) {
        let (from, to) = (
            across.at(bucket.from.as_secs_f64()),
            across.at(bucket.to.as_secs_f64()),
        );
        let y = up.at(float(bucket.count));
        let tip = format!(
            "{}\n{} to {}",
            counted(bucket.count, "request", "requests"),
            duration(bucket.from),
            duration(bucket.to)
        );
        let place = (from + 0.5, y, (to - from - 1.0).max(1.0), BOTTOM - y);
        rect(
            html,
            place,
            &[
                ("class", &"blue"),
                ("data-n", &bucket.count),
                ("data-tip", &tip),
            ],
        );
    }
    percentiles(html, seen, &across);
    close_picture(html);
    open_details(html, "Numbers by duration");
    let rows = buckets.iter().map(|bucket| {
        let range = format!("{} to {}", duration(bucket.from), duration(bucket.to));
        vec![range, count(bucket.count)]
    });
    let longest = format!("longest: {}", duration(seen.latency.max()));
    let all = seen.statuses.values().sum();
    number_table(
        html,
        &["duration", "requests"],
        rows,
        Some(vec![longest, count(all)]),
    );
    html.close("details");
    html.close("section");
}

fn percentiles(html: &mut Html, seen: &Seen, across: &Scale) {
    // The position of the last label in each row. Labels of lines close to each other are placed in different rows.
    let mut rows = [f64::MIN; 3];
    for percent in [50, 95, 99] {
        let Some(took) = seen.latency.percentile(percent) else {
            continue;
        };
        let x = across.at(took.as_secs_f64());
        let row = rows.iter().position(|last| x - last > 84.0).unwrap_or(0);
        rows[row] = x;
        let y = 10.0 + 12.0 * float(row as u64);
        line(html, "mark", (x, y - 8.0), (x, BOTTOM));
        html.open(
            "g",
            &[
                ("data-percentile", &percent),
                ("data-us", &took.as_micros()),
            ],
        );
        let text = format_args!("p{percent} {}", duration(took));
        if x + 90.0 < WIDTH {
            label(html, "tick", (x + 4.0, y), text);
        } else {
            label(html, "tick end", (x - 4.0, y), text);
        }
        html.close("g");
    }
}
