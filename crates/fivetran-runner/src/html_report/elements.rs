//! The elements of the report: sections, charts, tables and legends.

use maud::{Markup, Render, html};

use super::format::Px;

/// A section.
pub(super) fn section(id: &str, title: &str, about: &str, content: &Markup) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            @if !about.is_empty() { p.about { (about) } }
            (content)
        }
    }
}

/// A chart. `title` is its name for screen readers.
pub(super) fn picture(title: &str, (width, height): (f64, f64), content: &Markup) -> Markup {
    html! {
        div.chart {
            svg viewBox={ "0 0 " (Px(width)) " " (Px(height)) } role="img" aria-label=(title) {
                title { (title) }
                (content)
            }
        }
    }
}

/// A line of a chart.
pub(super) fn line(class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Markup {
    html! { line class=(class) x1=(Px(x1)) y1=(Px(y1)) x2=(Px(x2)) y2=(Px(y2)) {} }
}

/// A text in a chart.
pub(super) fn label(class: &str, (x, y): (f64, f64), text: impl Render) -> Markup {
    html! { text class=(class) x=(Px(x)) y=(Px(y)) { (text) } }
}

/// A table of numbers: a header, rows whose first cell names them, and optional sums.
pub(super) fn number_table(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    sums: Option<Vec<String>>,
) -> Markup {
    html! {
        div.scroll {
            table {
                thead {
                    tr { @for name in header { th scope="col" { (name) } } }
                }
                tbody { @for row in rows { (number_row(&row)) } }
                @if let Some(sums) = sums { tfoot { (number_row(&sums)) } }
            }
        }
    }
}

fn number_row(cells: &[String]) -> Markup {
    html! {
        tr {
            @for (at, cell) in cells.iter().enumerate() {
                @match (at, cell.as_str()) {
                    (0, _) => { th scope="row" { (cell) } },
                    (_, "0" | "0 B" | "0 s") => { td.zero { (cell) } },
                    _ => { td { (cell) } },
                }
            }
        }
    }
}

/// Collapsed details.
pub(super) fn details(title: &str, content: &Markup) -> Markup {
    html! { details { summary { (title) } (content) } }
}

/// The legend of a chart's colours.
pub(super) fn legend<'a>(items: impl IntoIterator<Item = (&'a str, &'a str)>) -> Markup {
    html! {
        ul.legend {
            @for (class, text) in items {
                li {
                    svg viewBox="0 0 14 12" aria-hidden="true" {
                        rect class=(class) x="1" y="1" width="12" height="10" {}
                    }
                    (text)
                }
            }
        }
    }
}
