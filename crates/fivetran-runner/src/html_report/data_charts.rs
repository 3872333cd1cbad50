//! A first look at the data: the caller's queries on the warehouse, with their results as charts.

use std::{collections::BTreeSet, path::Path, time::Duration};

use maud::{Markup, html};

use super::{
    axis::{self, Scale},
    chart::{Chart, Drawing, Series},
    contents::ReportContents,
    elements::{details, label, legend, line, number_table, picture, section},
    format::{Px, count, duration, float},
};
use crate::{database::DuckDb, sql::quote};

const WIDTH: f64 = 1_140.0;
const RIGHT: f64 = 1_124.0;
/// The most rows of a query's result that are drawn.
const MOST_ROWS: usize = 400;
/// The most characters of a name in a chart.
const LONGEST: usize = 30;

/// The rows of a query's result.
type Rows = Vec<Vec<Option<String>>>;

pub(super) fn render(report: &ReportContents<'_>) -> Markup {
    let about = "The current contents of the warehouse, from all syncs.";
    let opened = Warehouse::open(&report.outcome.warehouse, report.schema);
    let rows_of = |chart: &Chart| {
        let warehouse = opened.as_ref().map_err(Clone::clone);
        warehouse.and_then(|warehouse| warehouse.query(chart))
    };
    let content = html! {
        @for chart in report.charts {
            div id=(chart.id) {
                h3 { (chart.title) }
                (result(chart, &rows_of(chart)))
            }
        }
    };
    section("first-look", "A first look at the data", about, &content)
}

fn result(chart: &Chart, rows: &Result<Rows, String>) -> Markup {
    html! {
        @match rows {
            Ok(rows) if rows.is_empty() => { p.about { "Nothing to show yet." } },
            Ok(rows) => {
                p.about { (chart.about) }
                @match chart.drawing {
                    Drawing::Stacked(series) => { (stacked(chart, series, rows)) },
                    Drawing::Spread => { (spread(chart, rows)) },
                }
            },
            Err(why) => { p.about { (why) } },
        }
    }
}

/// The warehouse, opened for queries.
struct Warehouse {
    db: DuckDb,
    has: BTreeSet<String>,
}

impl Warehouse {
    /// Opens the warehouse. An error is a sentence for the report.
    fn open(file: &Path, schema: &str) -> Result<Self, String> {
        if !file.exists() {
            return Err("The warehouse does not exist yet.".to_owned());
        }
        let db = DuckDb::open_read_only(file).map_err(|error| format!("Not queried: {error}."))?;
        let named = schema.replace('\'', "''");
        let tables =
            format!("SELECT table_name FROM duckdb_tables() WHERE schema_name = '{named}'");
        let has = db
            .query(&tables, 10_000)
            .map_err(|error| format!("Not queried: {error}."))?;
        let has: BTreeSet<String> = has.rows.into_iter().flatten().flatten().collect();
        if !has.is_empty() {
            // The queries name tables without their schema.
            db.execute(&format!("USE {}", quote(schema)))?;
        }
        Ok(Self { db, has })
    }

    fn query(&self, chart: &Chart) -> Result<Rows, String> {
        let missing = chart
            .tables
            .iter()
            .filter(|table| !self.has.contains(**table));
        let missing: Vec<&str> = missing.copied().collect();
        if !missing.is_empty() {
            return Err(format!(
                "Not queried: the warehouse does not have {}.",
                missing.join(", ")
            ));
        }
        let result = self.db.query(chart.sql, MOST_ROWS);
        result
            .map(|result| result.rows)
            .map_err(|error| error.to_string())
    }
}

fn text(row: &[Option<String>], at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or("")
}

fn number(row: &[Option<String>], at: usize) -> u64 {
    text(row, at).parse().unwrap_or(0)
}

fn seconds(row: &[Option<String>], at: usize) -> Option<Duration> {
    let seconds: f64 = text(row, at).parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The days of stacked bars, each with a sum for each series.
type Days<'a> = Vec<(&'a str, Vec<u64>)>;

fn days<'a>(series: &[Series], rows: &'a Rows) -> Days<'a> {
    let place = |row: &[Option<String>]| {
        let found = series.iter().position(|series| series.key == text(row, 1));
        found.unwrap_or(series.len().saturating_sub(1))
    };
    let mut days: Days<'a> = Vec::new();
    for row in rows {
        let day = text(row, 0);
        if days.last().is_none_or(|(last, _)| *last != day) {
            days.push((day, vec![0; series.len()]));
        }
        if let Some(sum) = days
            .last_mut()
            .and_then(|(_, sums)| sums.get_mut(place(row)))
        {
            *sum += number(row, 2);
        }
    }
    days
}

fn stacked(chart: &Chart, series: &[Series], rows: &Rows) -> Markup {
    let days = days(series, rows);
    let sums: Vec<u64> = (0..series.len())
        .map(|at| days.iter().map(|(_, sums)| sums[at]).sum())
        .collect();
    let shown = series.iter().zip(&sums).filter(|(_, sum)| **sum > 0);
    let shown: Vec<(&str, &str)> = shown
        .map(|(series, _)| (series.tone.class(), series.key))
        .collect();
    let header: Vec<&str> = std::iter::once("day")
        .chain(series.iter().map(|series| series.key))
        .collect();
    let lines = days.iter().map(|(day, sums)| {
        let sums = sums.iter().map(|sum| count(*sum));
        std::iter::once((*day).to_owned()).chain(sums).collect()
    });
    let sums = std::iter::once("all".to_owned()).chain(sums.iter().map(|sum| count(*sum)));
    let table = number_table(&header, lines, Some(sums.collect()));
    html! {
        (stacks(chart.title, series, &days))
        (legend(&shown))
        (details("Numbers by day", &table))
    }
}

fn stacks(title: &str, series: &[Series], days: &Days<'_>) -> Markup {
    const LEFT: f64 = 56.0;
    const TOP: f64 = 8.0;
    const BOTTOM: f64 = 208.0;
    let most = days.iter().map(|(_, sums)| sums.iter().sum());
    let most = most.max().unwrap_or(0);
    let up = Scale::linear((0.0, float(most)), (0.0, BOTTOM - TOP));
    let step = (RIGHT - LEFT) / float(days.len().max(1) as u64);
    // Every n-th day is labelled.
    let every = days.len().div_ceil(12).max(1);
    let width = (step * 0.78).min(56.0);
    let content = html! {
        @for (at, name) in axis::counts(most) {
            @let y = BOTTOM - up.at(at);
            (line("grid", (LEFT, y), (RIGHT, y)))
            (label("tick end", (LEFT - 6.0, y + 4.0), name))
        }
        g.stack {
            @for (at, (day, sums)) in days.iter().enumerate() {
                @let middle = LEFT + step * (float(at as u64) + 0.5);
                (stack(day, series.iter().zip(sums), (middle - width / 2.0, BOTTOM, width), &up))
                @if (days.len() - 1 - at).is_multiple_of(every) {
                    (label("tick mid", (middle, BOTTOM + 17.0), day.get(5..).unwrap_or(day)))
                }
            }
        }
        (line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM)))
    };
    picture(title, (WIDTH, BOTTOM + 24.0), &content)
}

fn stack<'a>(
    day: &str,
    sums: impl Iterator<Item = (&'a Series, &'a u64)>,
    (x, bottom, width): (f64, f64, f64),
    up: &Scale,
) -> Markup {
    let mut y = bottom;
    let bars = sums.filter(|(_, sum)| **sum > 0).map(|(series, sum)| {
        let height = up.at(float(*sum));
        y -= height;
        (series, sum, y, height.max(0.8))
    });
    html! {
        @for (series, sum, y, height) in bars {
            @let tip = format!("{day}\n{}: {}", series.key, count(*sum));
            rect x=(Px(x)) y=(Px(y)) width=(Px(width)) height=(Px(height)) class=(series.tone.class())
                data-day=(day) data-key=(series.key) data-value=(sum) data-tip=(tip) {}
        }
    }
}

/// The names of the percentiles of a row, and their colours.
const NAMES: [&str; 3] = ["p50", "p90", "p99"];
const CLASSES: [&str; 3] = ["sky", "blue", "red"];

fn percentiles(row: &[Option<String>]) -> [Duration; 3] {
    [2, 3, 4].map(|at| seconds(row, at).unwrap_or_default())
}

fn spread(chart: &Chart, rows: &Rows) -> Markup {
    const LEFT: f64 = 236.0;
    const ROW: f64 = 24.0;
    let values = rows.iter().flat_map(|row| percentiles(row));
    let values: Vec<Duration> = values.filter(|value| !value.is_zero()).collect();
    let least = values.iter().min().copied().unwrap_or_default();
    let most = values.iter().max().copied().unwrap_or_default();
    let (range, ticks) = axis::log_times(least, most);
    let scale = Scale::log(range, (LEFT, RIGHT - 20.0));
    let bottom = 6.0 + ROW * float(rows.len() as u64);
    let content = html! {
        @for (at, name) in ticks {
            @let x = scale.at(at);
            (line("grid", (x, 2.0), (x, bottom)))
            (label("tick mid", (x, bottom + 16.0), name))
        }
        @for (at, row) in rows.iter().enumerate() {
            @let y = 6.0 + ROW * (float(at as u64) + 0.5) - 2.0;
            @let name = text(row, 0).chars().take(LONGEST).collect::<String>();
            (label("end", (LEFT - 12.0, y + 4.0), name))
            (points(row, &scale, y))
        }
    };
    let lines = rows.iter().map(|row| {
        let numbers = percentiles(row).map(duration);
        let first = [text(row, 0).to_owned(), count(number(row, 1))];
        first.into_iter().chain(numbers).collect()
    });
    let table = number_table(&["name", "count", "p50", "p90", "p99"], lines, None);
    let items: Vec<(&str, &str)> = CLASSES.into_iter().zip(NAMES).collect();
    html! {
        (picture(chart.title, (WIDTH, bottom + 22.0), &content))
        (legend(&items))
        (details("Numbers by name", &table))
    }
}

fn points(row: &[Option<String>], scale: &Scale, y: f64) -> Markup {
    let (name, runs, values) = (text(row, 0), number(row, 1), percentiles(row));
    let places = values.map(|value| scale.at(value.as_secs_f64()));
    html! {
        (line("range", (places[0], y), (places[2], y)))
        g data-name=(name) data-runs=(runs) {
            @for (at, x) in places.into_iter().enumerate().rev() {
                @let tip = format!("{name}\n{} {} of {}", NAMES[at], duration(values[at]), count(runs));
                circle class=(CLASSES[at]) cx=(Px(x)) cy=(Px(y)) r="5.5" data-key=(NAMES[at])
                    data-value=(values[at].as_secs_f64()) data-tip=(tip) {}
            }
        }
    }
}
