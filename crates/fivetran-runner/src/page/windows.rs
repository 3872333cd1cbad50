//! The chart of the ranges of time that were read, by their age.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    axis::Scale,
    elements::{
        close_picture, label, line, number_table, open_details, open_picture, open_section, rect,
    },
    html::Html,
    words::{Px, count, counted, float, time},
};
use crate::timeline::{RequestedRanges, Seen};
use sync_telemetry::WindowKind;

const WIDTH: f64 = 1_140.0;
const LEFT: f64 = 216.0;
/// The position of the present. The future is to its right.
const NOW: f64 = 1_060.0;
const RIGHT: f64 = 1_128.0;
const ROW: f64 = 19.0;
const BAR: f64 = 11.0;

/// The labels of the axis of ages, in minutes.
const AGES: [(u64, &str); 13] = [
    (1, "1 min"),
    (5, "5 min"),
    (15, "15 min"),
    (60, "1 h"),
    (240, "4 h"),
    (720, "12 h"),
    (1_440, "1 d"),
    (4_320, "3 d"),
    (10_080, "7 d"),
    (43_200, "30 d"),
    (129_600, "90 d"),
    (525_600, "1 y"),
    (2_628_000, "5 y"),
];

/// The colours of the kinds, in their order; later kinds share the last one.
const COLOURS: [&str; 6] = ["blue", "sky", "pink", "amber", "green", "grey"];

/// A row of the chart: its name, and its requested ranges by their kind.
struct Row<'a> {
    name: String,
    requested: Vec<(WindowKind, &'a RequestedRanges)>,
}

pub(super) fn section(html: &mut Html, seen: &Seen) {
    let about = "The requested ranges of time, by their age on the server's clock; the newest is on the right, on a \
                 logarithmic scale. Rechecks read ended runs again, to find edits, at fixed times after their end. \
                 Other tables are listed completely, or from the newest row down to a known one.";
    open_section(html, "windows", "Rechecks and windows", about);
    if seen.windows.tables.is_empty() {
        html.leaf("p", &[], "No range of time was read.");
        html.close("section");
        return;
    }
    picture(html, seen);
    numbers(html, seen);
    html.close("section");
}

fn rows(seen: &Seen) -> Vec<(&'static str, Vec<Row<'_>>)> {
    let tables = seen.windows.tables.iter();
    let tables = tables.map(|(table, kinds)| {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for (kind, requested) in kinds {
            // Kinds that differ only in their age are one row.
            let name = match kind.age {
                Some(_) => format!("{}s", kind.label),
                None => kind.label.to_owned(),
            };
            match rows.iter_mut().find(|row| row.name == name) {
                Some(row) => row.requested.push((*kind, requested)),
                None => rows.push(Row {
                    name,
                    requested: vec![(*kind, requested)],
                }),
            }
        }
        (*table, rows)
    });
    tables.collect()
}

fn picture(html: &mut Html, seen: &Seen) {
    let tables = rows(seen);
    let now = seen.windows.now.unwrap_or(seen.began);
    let oldest = seen
        .windows
        .tables
        .iter()
        .flat_map(|(_, kinds)| kinds.values());
    let oldest =
        oldest.flat_map(|requested| requested.ranges.iter().flat_map(|(from, to)| [*from, *to]));
    let oldest = oldest.filter(|at| *at > DateTime::<Utc>::MIN_UTC).min();
    let oldest = oldest.map_or(0.0, |oldest| minutes(now - oldest));
    // Somewhat longer than the oldest range, so that a range without a beginning visibly goes on.
    let scale = Scale::log((1.0, 1.0 + (oldest * 2.0).max(2_880.0)), (NOW, LEFT));
    let count: usize = tables.iter().map(|(_, rows)| rows.len()).sum();
    let bottom = 6.0 + ROW * float(count as u64) + 8.0 * float(tables.len() as u64);
    open_picture(
        html,
        "Ranges of time that were read",
        (WIDTH, bottom + 20.0),
    );
    let mut beside = f64::MAX;
    for (age, text) in AGES
        .iter()
        .filter(|(age, _)| float(*age) <= (oldest * 2.0).max(2_880.0))
    {
        let x = scale.at(1.0 + float(*age));
        if beside - x > 44.0 {
            line(html, "grid", (x, 2.0), (x, bottom));
            label(html, "tick mid", (x, bottom + 15.0), text);
            beside = x;
        }
    }
    line(html, "now", (NOW, 2.0), (NOW, bottom));
    label(html, "tick mid", (NOW, bottom + 15.0), "now");
    label(html, "tick", (NOW + 26.0, bottom + 15.0), "later");
    let mut y = 6.0;
    for (table, rows) in &tables {
        for (number, row) in rows.iter().enumerate() {
            if number == 0 {
                label(html, "", (0.0, y + 10.0), table);
            }
            label(html, "tick end", (LEFT - 10.0, y + 10.0), &row.name);
            for (kind, requested) in &row.requested {
                html.open(
                    "g",
                    &[
                        ("data-table", table),
                        ("data-kind", kind),
                        ("data-n", &requested.pages),
                    ],
                );
                for range in &requested.ranges {
                    draw(html, (*kind, requested, *range), &scale, (now, y));
                }
                html.close("g");
            }
            y += ROW;
        }
        y += 8.0;
    }
    close_picture(html);
}

fn draw(
    html: &mut Html,
    (kind, requested, (from, to)): (WindowKind, &RequestedRanges, (DateTime<Utc>, DateTime<Utc>)),
    scale: &Scale,
    (now, y): (DateTime<Utc>, f64),
) {
    let place = |at: DateTime<Utc>| {
        if at > now {
            // The future has no scale.
            if at == DateTime::<Utc>::MAX_UTC {
                RIGHT
            } else {
                f64::midpoint(NOW, RIGHT)
            }
        } else {
            scale.at(1.0 + minutes(now - at))
        }
    };
    let (left, right) = (place(from), place(to));
    let class = COLOURS[usize::from(kind.order).min(COLOURS.len() - 1)];
    let tip = format!(
        "{kind}, {}\n{}",
        counted(requested.pages, "page", "pages"),
        range_text((from, to))
    );
    let width = (right - left).max(2.0);
    rect(
        html,
        (left, y, width, BAR),
        &[("class", &class), ("data-tip", &tip)],
    );
    let (middle, end) = (Px(y + BAR / 2.0), BAR / 2.0 + 1.0);
    if from == DateTime::<Utc>::MIN_UTC {
        let path = format!(
            "M{} {middle}l6 {}v{}z",
            Px(left - 6.0),
            Px(-end),
            Px(end * 2.0)
        );
        html.empty("path", &[("class", &class), ("d", &path)]);
    }
    if to == DateTime::<Utc>::MAX_UTC {
        let path = format!(
            "M{} {middle}l-6 {}v{}z",
            Px(right + 6.0),
            Px(-end),
            Px(end * 2.0)
        );
        html.empty("path", &[("class", &class), ("d", &path)]);
    }
}

/// A range as text.
fn range_text((from, to): (DateTime<Utc>, DateTime<Utc>)) -> String {
    let from = if from == DateTime::<Utc>::MIN_UTC {
        "the oldest".to_owned()
    } else {
        time(from)
    };
    let to = if to == DateTime::<Utc>::MAX_UTC {
        "the newest".to_owned()
    } else {
        time(to)
    };
    format!("{from} to {to}")
}

fn minutes(age: TimeDelta) -> f64 {
    age.as_seconds_f64().max(0.0) / 60.0
}

fn numbers(html: &mut Html, seen: &Seen) {
    open_details(html, "Numbers by window");
    let rows = seen.windows.tables.iter().flat_map(|(table, kinds)| {
        kinds.iter().map(move |(kind, requested)| {
            let ranges: Vec<String> = requested
                .ranges
                .iter()
                .map(|range| range_text(*range))
                .collect();
            vec![
                format!("{table}, {kind}"),
                count(requested.pages),
                ranges.join("; "),
            ]
        })
    });
    number_table(html, &["window", "pages", "from … to"], rows, None);
    html.close("details");
}
