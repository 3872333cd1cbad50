//! The elements of the report: sections, charts, tables and legends.

use std::fmt::Display;

use super::{
    html::{Attributes, Html},
    words::Px,
};

/// Opens a section up to its contents. The caller closes the element.
pub(super) fn open_section(html: &mut Html, id: &'static str, title: &str, about: &str) {
    html.open("section", &[("id", &id)]);
    html.leaf("h2", &[], title);
    if !about.is_empty() {
        html.leaf("p", &[("class", &"about")], about);
    }
}

/// Opens a chart up to its contents. `title` is its name for screen readers.
pub(super) fn open_picture(html: &mut Html, title: &str, (width, height): (f64, f64)) {
    html.open("div", &[("class", &"chart")]);
    let view = format!("0 0 {} {}", Px(width), Px(height));
    let attributes: Attributes<'_> =
        &[("viewBox", &view), ("role", &"img"), ("aria-label", &title)];
    html.open("svg", attributes);
    html.leaf("title", &[], title);
}

/// Closes a chart.
pub(super) fn close_picture(html: &mut Html) {
    html.close("svg");
    html.close("div");
}

/// Writes a line of a chart.
pub(super) fn line(
    html: &mut Html,
    class: &'static str,
    (x1, y1): (f64, f64),
    (x2, y2): (f64, f64),
) {
    let place = [x1, y1, x2, y2].map(Px);
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
pub(super) fn label(html: &mut Html, class: &'static str, (x, y): (f64, f64), text: impl Display) {
    let (x, y) = (Px(x), Px(y));
    html.leaf("text", &[("class", &class), ("x", &x), ("y", &y)], text);
}

/// Writes a rectangle in a chart, with further attributes such as its numbers.
pub(super) fn rect(
    html: &mut Html,
    (x, y, width, height): (f64, f64, f64, f64),
    more: Attributes<'_>,
) {
    let place = [x, y, width, height].map(Px);
    let mut attributes: Vec<(&'static str, &dyn Display)> = vec![
        ("x", &place[0]),
        ("y", &place[1]),
        ("width", &place[2]),
        ("height", &place[3]),
    ];
    attributes.extend_from_slice(more);
    html.empty("rect", &attributes);
}

/// Writes a table of numbers: a header, rows whose first cell names them, and optional sums.
pub(super) fn number_table(
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
pub(super) fn open_details(html: &mut Html, title: &str) {
    html.open("details", &[]);
    html.leaf("summary", &[], title);
}

/// Writes the legend of a chart's colours.
pub(super) fn legend(html: &mut Html, items: &[(&str, &str)]) {
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
