//! The data in the warehouse: the caller's queries, with their results as charts and tables.

use std::{collections::BTreeSet, path::Path, time::Duration};

use maud::{Markup, html};

use super::{
    axis,
    chart::{Chart, ColumnKind, Drawing, Series, TableColumn},
    contents::ReportContents,
    elements::{details, legend, number_table, section},
    format::{count, duration, float},
};
use crate::{database::DuckDb, sql::quote};

/// The most rows of a query's result that are shown.
const MOST_ROWS: usize = 400;
/// The number of days of a chart that are labelled, so that the labels have room on a narrow screen.
const LABELS: usize = 6;

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
    section("data", "The data now", about, &content)
}

fn result(chart: &Chart, rows: &Result<Rows, String>) -> Markup {
    html! {
        @match rows {
            Ok(rows) if rows.is_empty() => { p.about { (chart.empty) } },
            Ok(rows) => {
                p.about { (chart.about) }
                @match chart.drawing {
                    Drawing::Stacked(series) => { (stacked(chart, series, rows)) },
                    Drawing::Table(columns) => { (table(columns, rows)) },
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
    let shown: Vec<(&str, String)> = shown
        .map(|(series, sum)| {
            (
                series.tone.class(),
                format!("{} {}", series.key, count(*sum)),
            )
        })
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
        (columns(chart.title, series, &days))
        (legend(shown.iter().map(|(class, text)| (*class, text.as_str()))))
        (details("Numbers by day", &table))
    }
}

/// A column of stacked bars for each day. All sizes are parts of the page's width, so the chart has no smallest width.
fn columns(title: &str, series: &[Series], days: &Days<'_>) -> Markup {
    let most = days.iter().map(|(_, sums)| sums.iter().sum());
    let most = most.max().unwrap_or(0);
    let percent = |value: f64| format!("{:.3}%", 100.0 * value / float(most.max(1)));
    let every = days.len().div_ceil(LABELS).max(1);
    html! {
        div.days role="img" aria-label=(title) {
            @for (at, name) in axis::counts(most) {
                div.level style={ "bottom:" (percent(at)) } { span { (name) } }
            }
            @for (at, (day, sums)) in days.iter().enumerate() {
                div.day {
                    @for (series, sum) in series.iter().zip(sums).filter(|(_, sum)| **sum > 0) {
                        @let tip = format!("{day}\n{}: {}", series.key, count(*sum));
                        i class=(series.tone.class()) style={ "height:" (percent(float(*sum))) }
                            data-day=(day) data-key=(series.key) data-value=(sum) data-tip=(tip) {}
                    }
                    @if (days.len() - 1 - at).is_multiple_of(every) {
                        span { (day.get(5..).unwrap_or(day)) }
                    }
                }
            }
        }
    }
}

/// A table of a query's result. With several texts, each row is a block on a narrow screen, and each cell has the name of
/// its column.
fn table(columns: &[TableColumn], rows: &Rows) -> Markup {
    let texts = columns.iter().filter(|it| it.kind == ColumnKind::Text);
    let class_of_table = if texts.count() > 1 { "records" } else { "" };
    let content = html! {
        table class=(class_of_table) {
            thead {
                tr {
                    @for column in columns { th scope="col" class=(class(column)) { (column.name) } }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for (at, column) in columns.iter().enumerate() {
                            td class=(class(column)) data-name=(column.name) data-value=(text(row, at)) {
                                (cell(column.kind, row, at))
                            }
                        }
                    }
                }
            }
        }
    };
    html! { div.scroll { (content) } }
}

fn class(column: &TableColumn) -> &'static str {
    match column.kind {
        ColumnKind::Text => "text",
        ColumnKind::Time | ColumnKind::Count | ColumnKind::Seconds => "short",
    }
}

fn cell(kind: ColumnKind, row: &[Option<String>], at: usize) -> String {
    match kind {
        ColumnKind::Text | ColumnKind::Time => text(row, at).to_owned(),
        ColumnKind::Count => count(number(row, at)),
        ColumnKind::Seconds => seconds(row, at).map_or_else(String::new, duration),
    }
}
