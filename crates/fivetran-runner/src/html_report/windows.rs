//! The chart of the ranges of time that were read, by their age.

use chrono::{DateTime, TimeDelta, Utc};

use maud::{Markup, display, html};

use super::{
    axis::Scale,
    elements::{details, label, line, number_table, picture, section},
    format::{Px, count, counted, float, time},
};
use crate::timeline::{RequestedRanges, RunTrace};
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

pub(super) fn render(seen: &RunTrace) -> Markup {
    let about = "The requested ranges of time, by their age on the server's clock; the newest is on the right, on a \
                 logarithmic scale. Rechecks read ended runs again, to find edits, at fixed times after their end. \
                 Other tables are listed completely, or from the newest row down to a known one.";
    let content = html! {
        @if seen.windows.tables.is_empty() {
            p { "No range of time was read." }
        } @else {
            (drawing(seen))
            (numbers(seen))
        }
    };
    section("windows", "Rechecks and windows", about, &content)
}

fn rows(seen: &RunTrace) -> Vec<(&'static str, Vec<Row<'_>>)> {
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

fn drawing(seen: &RunTrace) -> Markup {
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
    let longest = (oldest * 2.0).max(2_880.0);
    let scale = Scale::log((1.0, 1.0 + longest), (NOW, LEFT));
    let mut bottom = 6.0;
    let mut placed = Vec::new();
    for (table, rows) in &tables {
        placed.push((table, rows, bottom));
        bottom += ROW * float(rows.len() as u64) + 8.0;
    }
    let content = html! {
        (ages(&scale, longest, bottom))
        (line("now", (NOW, 2.0), (NOW, bottom)))
        (label("tick mid", (NOW, bottom + 15.0), "now"))
        (label("tick", (NOW + 26.0, bottom + 15.0), "later"))
        @for (table, rows, top) in placed {
            (label("", (0.0, top + 10.0), table))
            @for (number, row) in rows.iter().enumerate() {
                (row_of(table, row, &scale, (now, top + ROW * float(number as u64))))
            }
        }
    };
    picture(
        "Ranges of time that were read",
        (WIDTH, bottom + 20.0),
        &content,
    )
}

/// The marks of the axis of ages up to `longest` minutes.
fn ages(scale: &Scale, longest: f64, bottom: f64) -> Markup {
    let ages = AGES.iter().filter(|(age, _)| float(*age) <= longest);
    let mut beside = f64::MAX;
    let shown = ages.filter_map(|(age, text)| {
        let x = scale.at(1.0 + float(*age));
        let has_room = beside - x > 44.0;
        if has_room {
            beside = x;
        }
        has_room.then_some((x, text))
    });
    html! {
        @for (x, text) in shown {
            (line("grid", (x, 2.0), (x, bottom)))
            (label("tick mid", (x, bottom + 15.0), text))
        }
    }
}

fn row_of(table: &str, row: &Row<'_>, scale: &Scale, (now, y): (DateTime<Utc>, f64)) -> Markup {
    html! {
        (label("tick end", (LEFT - 10.0, y + 10.0), &row.name))
        @for (kind, requested) in &row.requested {
            g data-table=(table) data-kind=(display(kind)) data-n=(requested.pages) {
                @for range in &requested.ranges {
                    (bar((*kind, requested, *range), scale, (now, y)))
                }
            }
        }
    }
}

fn bar(
    (kind, requested, (from, to)): (WindowKind, &RequestedRanges, (DateTime<Utc>, DateTime<Utc>)),
    scale: &Scale,
    (now, y): (DateTime<Utc>, f64),
) -> Markup {
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
    html! {
        rect x=(Px(left)) y=(Px(y)) width=(Px(width)) height=(Px(BAR)) class=(class) data-tip=(tip) {}
        @if from == DateTime::<Utc>::MIN_UTC { (arrow(class, (left - 6.0, y), 6)) }
        @if to == DateTime::<Utc>::MAX_UTC { (arrow(class, (right + 6.0, y), -6)) }
    }
}

/// The arrow at the open end of a range: its point, and the direction and length of its sides.
fn arrow(class: &str, (x, y): (f64, f64), side: i8) -> Markup {
    let end = BAR / 2.0 + 1.0;
    let (x, middle) = (Px(x), Px(y + BAR / 2.0));
    let path = format!("M{x} {middle}l{side} {}v{}z", Px(-end), Px(end * 2.0));
    html! { path class=(class) d=(path) {} }
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

fn numbers(seen: &RunTrace) -> Markup {
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
    let table = number_table(&["window", "pages", "from … to"], rows, None);
    details("Numbers by window", &table)
}
