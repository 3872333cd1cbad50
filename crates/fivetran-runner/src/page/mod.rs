//! The HTML report that each run writes: `report.html`, one file that can be read without network and scripts.
//!
//! Every chart is SVG made here, with its numbers as attributes (`data-…`) and in a table beside it. Texts can only
//! be written escaped (`html`).

mod axis;
mod bars;
mod first_look;
mod html;
mod latency;
mod overview;
mod timeline;
mod windows;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

pub use self::first_look::{Chart, Drawing, Series, Tone};
use self::html::{Attributes, Html};
use super::{Error, Outcome, REPORT_FILE, state::temporary, timeline::Seen};

/// The most bars of the whole timeline, so that the file stays small.
const MOST_BARS: usize = 1_500;

/// The contents of the HTML report.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The text that names what was synced: an address.
    pub subject: &'a str,
    /// The start of the run.
    pub began: DateTime<Utc>,
    /// The outcome of the run.
    pub outcome: &'a Outcome,
    /// The events recorded during the run.
    pub heard: Heard<'a>,
    /// The schema in which tables are landed.
    pub schema: &'a str,
    /// The charts to draw from the warehouse.
    pub charts: &'a [Chart],
}

/// The recorded events of the connector.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    /// The connector ran in this process, so all events were recorded.
    Everything(&'a Seen),
    /// Only the operations are known. The sentence gives the reason.
    Nothing(&'a str),
}

/// Writes the report into the folder, in place of the previous one. Returns its path.
pub fn write(dir: &Path, page: &Page<'_>) -> Result<PathBuf, Error> {
    let path = dir.join(REPORT_FILE);
    let temporary = temporary(&path);
    let write = || {
        fs::write(&temporary, render(page))?;
        fs::rename(&temporary, &path)
    };
    write().map_err(|error| Error::io("write", &path, error))?;
    Ok(path)
}

/// Renders the report as HTML.
pub(super) fn render(page: &Page<'_>) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n");
    html.open("html", &[("lang", &"en")]);
    head(&mut html, page);
    html.open("body", &[]);
    html.open("main", &[]);
    overview::header(&mut html, page);
    match page.heard {
        Heard::Everything(seen) => {
            let mut seen = seen.clone();
            seen.thin(MOST_BARS);
            overview::tiles(&mut html, page.outcome, Some(&seen));
            overview::warnings(&mut html, page.outcome);
            timeline::section(&mut html, &seen);
            latency::section(&mut html, &seen);
            windows::section(&mut html, &seen);
            overview::tables(&mut html, page.outcome);
            bars::section(&mut html, page.outcome, &seen);
        }
        Heard::Nothing(why) => {
            overview::tiles(&mut html, page.outcome, None);
            overview::warnings(&mut html, page.outcome);
            absent(&mut html, why);
            overview::tables(&mut html, page.outcome);
            bars::section(&mut html, page.outcome, &Seen::default());
        }
    }
    first_look::section(&mut html, page);
    overview::footer(&mut html, page);
    html.close("main");
    html.empty("div", &[("id", &"tip"), ("hidden", &"")]);
    html.raw("<script>\n");
    html.raw(include_str!("script.js"));
    html.raw("</script>\n");
    html.close("body");
    html.close("html");
    html.into_text()
}

fn head(html: &mut Html, page: &Page<'_>) {
    html.open("head", &[]);
    html.open("meta", &[("charset", &"utf-8")]);
    // The policy prevents any fetch, whatever text gets into the report.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
                  base-uri 'none'; form-action 'none'";
    html.open(
        "meta",
        &[
            ("http-equiv", &"Content-Security-Policy"),
            ("content", &policy),
        ],
    );
    let viewport = "width=device-width, initial-scale=1";
    html.open("meta", &[("name", &"viewport"), ("content", &viewport)]);
    html.open(
        "meta",
        &[("name", &"color-scheme"), ("content", &"light dark")],
    );
    // Without this browsers request an icon.
    html.open("link", &[("rel", &"icon"), ("href", &"data:,")]);
    html.leaf("title", &[], format_args!("Sync report: {}", page.subject));
    html.raw("<style>\n");
    html.raw(include_str!("style.css"));
    html.raw("</style>\n");
    html.close("head");
}

/// The section that replaces everything about requests.
fn absent(html: &mut Html, why: &str) {
    open_section(html, "requests", "Requests", why);
    html.close("section");
}

/// Opens a section up to its contents. The caller closes the element.
fn open_section(html: &mut Html, id: &'static str, title: &str, about: &str) {
    html.open("section", &[("id", &id)]);
    html.leaf("h2", &[], title);
    if !about.is_empty() {
        html.leaf("p", &[("class", &"about")], about);
    }
}

/// Opens a chart up to its contents. `title` is its name for screen readers.
fn open_picture(html: &mut Html, title: &str, (width, height): (f64, f64)) {
    html.open("div", &[("class", &"chart")]);
    let view = format!("0 0 {} {}", words::Px(width), words::Px(height));
    let attributes: Attributes<'_> =
        &[("viewBox", &view), ("role", &"img"), ("aria-label", &title)];
    html.open("svg", attributes);
    html.leaf("title", &[], title);
}

fn close_picture(html: &mut Html) {
    html.close("svg");
    html.close("div");
}

/// Writes a line of a chart.
fn line(html: &mut Html, class: &'static str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let place = [x1, y1, x2, y2].map(words::Px);
    let [x1, y1, x2, y2] = &place;
    html.empty(
        "line",
        &[
            ("class", &class),
            ("x1", x1),
            ("y1", y1),
            ("x2", x2),
            ("y2", y2),
        ],
    );
}

/// Writes a text in a chart.
fn label(html: &mut Html, class: &'static str, (x, y): (f64, f64), text: impl std::fmt::Display) {
    let (x, y) = (words::Px(x), words::Px(y));
    html.leaf("text", &[("class", &class), ("x", &x), ("y", &y)], text);
}

/// Writes a rectangle in a chart, with further attributes such as its numbers.
fn rect(html: &mut Html, (x, y, width, height): (f64, f64, f64, f64), more: Attributes<'_>) {
    let place = [x, y, width, height].map(words::Px);
    let mut attributes: Vec<(&'static str, &dyn std::fmt::Display)> = vec![
        ("x", &place[0]),
        ("y", &place[1]),
        ("width", &place[2]),
        ("height", &place[3]),
    ];
    attributes.extend_from_slice(more);
    html.empty("rect", &attributes);
}

/// Writes a table of numbers: a header, rows whose first cell names them, and optional sums.
fn number_table(
    html: &mut Html,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    sums: Option<Vec<String>>,
) {
    html.open("div", &[("class", &"scroll")]);
    html.open("table", &[]);
    html.open("thead", &[]);
    html.open("tr", &[]);
    for name in header {
        html.leaf("th", &[("scope", &"col")], name);
    }
    html.close("tr");
    html.close("thead");
    html.open("tbody", &[]);
    for row in rows {
        number_row(html, row);
    }
    html.close("tbody");
    if let Some(sums) = sums {
        html.open("tfoot", &[]);
        number_row(html, sums);
        html.close("tfoot");
    }
    html.close("table");
    html.close("div");
}

fn number_row(html: &mut Html, cells: Vec<String>) {
    html.open("tr", &[]);
    for (at, cell) in cells.into_iter().enumerate() {
        match (at, cell.as_str()) {
            (0, _) => html.leaf("th", &[("scope", &"row")], cell),
            (_, "0" | "0 B" | "0 s") => html.leaf("td", &[("class", &"zero")], cell),
            _ => html.leaf("td", &[], cell),
        }
    }
    html.close("tr");
}

/// Opens collapsed details beside a chart.
fn open_details(html: &mut Html, title: &str) {
    html.open("details", &[]);
    html.leaf("summary", &[], title);
}

/// Writes the legend of a chart's colours.
fn legend(html: &mut Html, items: &[(&str, &str)]) {
    html.open("ul", &[("class", &"legend")]);
    for (class, text) in items {
        html.open("li", &[]);
        html.open(
            "svg",
            &[("viewBox", &"0 0 14 12"), ("aria-hidden", &"true")],
        );
        html.empty(
            "rect",
            &[
                ("class", class),
                ("x", &1),
                ("y", &1),
                ("width", &12),
                ("height", &10),
            ],
        );
        html.close("svg");
        html.text(text);
        html.close("li");
    }
    html.close("ul");
}

#[cfg(test)]
mod tests;
