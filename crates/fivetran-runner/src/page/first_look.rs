//! A first look at the data: the caller's queries on the warehouse, with their results as charts.

use std::{collections::BTreeSet, path::Path, time::Duration};

use super::{
    axis::{self, Scale},
    chart::{Chart, Drawing, Series},
    contents::Page,
    elements::{
        close_picture, label, legend, line, number_table, open_details, open_picture, open_section,
        rect,
    },
    html::Html,
    words::{Px, count, duration, float},
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

pub(super) fn section(html: &mut Html, page: &Page<'_>) {
    let about = "The current contents of the warehouse, from all syncs.";
    open_section(html, "first-look", "A first look at the data", about);
    let opened = Warehouse::open(&page.outcome.warehouse, page.schema);
    for chart in page.charts {
        html.open("div", &[("id", &chart.id)]);
        html.leaf("h3", &[], chart.title);
        let warehouse = opened.as_ref().map_err(Clone::clone);
        match warehouse.and_then(|warehouse| warehouse.query(chart)) {
            Ok(rows) if rows.is_empty() => {
                html.leaf("p", &[("class", &"about")], "Nothing to show yet.");
            }
            Ok(rows) => {
                html.leaf("p", &[("class", &"about")], chart.about);
                match chart.drawing {
                    Drawing::Stacked(series) => stacked(html, chart, series, &rows),
                    Drawing::Spread => spread(html, chart, &rows),
                }
            }
            Err(why) => html.leaf("p", &[("class", &"about")], why),
        }
        html.close("div");
    }
    html.close("section");
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

fn stacked(html: &mut Html, chart: &Chart, series: &[Series], rows: &Rows) {
    const LEFT: f64 = 56.0;
    const TOP: f64 = 8.0;
    const BOTTOM: f64 = 208.0;
    let place = |row: &[Option<String>]| {
        let found = series.iter().position(|series| series.key == text(row, 1));
        found.unwrap_or(series.len().saturating_sub(1))
    };
    let mut days: Vec<(&str, Vec<u64>)> = Vec::new();
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
    let most = days
        .iter()
        .map(|(_, sums)| sums.iter().sum())
        .max()
        .unwrap_or(0);
    let up = Scale::linear((0.0, float(most)), (0.0, BOTTOM - TOP));
    let step = (RIGHT - LEFT) / float(days.len().max(1) as u64);
    open_picture(html, chart.title, (WIDTH, BOTTOM + 24.0));
    for (at, name) in axis::counts(most) {
        let y = BOTTOM - up.at(at);
        line(html, "grid", (LEFT, y), (RIGHT, y));
        label(html, "tick end", (LEFT - 6.0, y + 4.0), name);
    }
    html.open("g", &[("class", &"stack")]);
    // Every n-th day is labelled.
    let every = days.len().div_ceil(12).max(1);
    let width = (step * 0.78).min(56.0);
    for (at, (day, sums)) in days.iter().enumerate() {
        let middle = LEFT + step * (float(at as u64) + 0.5);
        let mut y = BOTTOM;
        for (series, sum) in series.iter().zip(sums).filter(|(_, sum)| **sum > 0) {
            let height = up.at(float(*sum));
            y -= height;
            let tip = format!("{day}\n{}: {}", series.key, count(*sum));
            rect(
                html,
                (middle - width / 2.0, y, width, height.max(0.8)),
                &[
                    ("class", &series.tone.class()),
                    ("data-day", day),
                    ("data-key", &series.key),
                    ("data-value", sum),
                    ("data-tip", &tip),
                ],
            );
        }
        if (days.len() - 1 - at).is_multiple_of(every) {
            label(
                html,
                "tick mid",
                (middle, BOTTOM + 17.0),
                day.get(5..).unwrap_or(day),
            );
        }
    }
    html.close("g");
    line(html, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    close_picture(html);
    let sums: Vec<u64> = (0..series.len())
        .map(|at| days.iter().map(|(_, sums)| sums[at]).sum())
        .collect();
    let shown = series.iter().zip(&sums).filter(|(_, sum)| **sum > 0);
    let shown: Vec<(&str, &str)> = shown
        .map(|(series, _)| (series.tone.class(), series.key))
        .collect();
    legend(html, &shown);
    open_details(html, "Numbers by day");
    let header: Vec<&str> = std::iter::once("day")
        .chain(series.iter().map(|series| series.key))
        .collect();
    let lines = days.iter().map(|(day, sums)| {
        let sums = sums.iter().map(|sum| count(*sum));
        std::iter::once((*day).to_owned()).chain(sums).collect()
    });
    let sums = std::iter::once("all".to_owned()).chain(sums.iter().map(|sum| count(*sum)));
    number_table(html, &header, lines, Some(sums.collect()));
    html.close("details");
}

fn spread(html: &mut Html, chart: &Chart, rows: &Rows) {
    const LEFT: f64 = 236.0;
    const ROW: f64 = 24.0;
    const NAMES: [&str; 3] = ["p50", "p90", "p99"];
    const CLASSES: [&str; 3] = ["sky", "blue", "red"];
    let values = |row: &[Option<String>]| [2, 3, 4].map(|at| seconds(row, at).unwrap_or_default());
    let all = || {
        rows.iter()
            .flat_map(|row| values(row))
            .filter(|value| !value.is_zero())
    };
    let (least, most) = (
        all().min().unwrap_or_default(),
        all().max().unwrap_or_default(),
    );
    let (range, ticks) = axis::log_times(least, most);
    let scale = Scale::log(range, (LEFT, RIGHT - 20.0));
    let bottom = 6.0 + ROW * float(rows.len() as u64);
    open_picture(html, chart.title, (WIDTH, bottom + 22.0));
    for (at, name) in ticks {
        let x = scale.at(at);
        line(html, "grid", (x, 2.0), (x, bottom));
        label(html, "tick mid", (x, bottom + 16.0), name);
    }
    for (at, row) in rows.iter().enumerate() {
        let y = 6.0 + ROW * (float(at as u64) + 0.5) - 2.0;
        let name: String = text(row, 0).chars().take(LONGEST).collect();
        label(html, "end", (LEFT - 12.0, y + 4.0), name);
        let values = values(row);
        let places = values.map(|value| scale.at(value.as_secs_f64()));
        line(html, "range", (places[0], y), (places[2], y));
        html.open(
            "g",
            &[("data-name", &text(row, 0)), ("data-runs", &number(row, 1))],
        );
        for (at, x) in places.into_iter().enumerate().rev() {
            let tip = format!(
                "{}\n{} {} of {}",
                text(row, 0),
                NAMES[at],
                duration(values[at]),
                count(number(row, 1))
            );
            let (x, y) = (Px(x), Px(y));
            html.empty(
                "circle",
                &[
                    ("class", &CLASSES[at]),
                    ("cx", &x),
                    ("cy", &y),
                    ("r", &5.5),
                    ("data-key", &NAMES[at]),
                    ("data-value", &values[at].as_secs_f64()),
                    ("data-tip", &tip),
                ],
            );
        }
        html.close("g");
    }
    close_picture(html);
    let items: Vec<(&str, &str)> = CLASSES.into_iter().zip(NAMES).collect();
    legend(html, &items);
    open_details(html, "Numbers by name");
    let lines = rows.iter().map(|row| {
        let numbers = values(row).map(duration);
        let first = [text(row, 0).to_owned(), count(number(row, 1))];
        first.into_iter().chain(numbers).collect()
    });
    number_table(html, &["name", "count", "p50", "p90", "p99"], lines, None);
    html.close("details");
}
