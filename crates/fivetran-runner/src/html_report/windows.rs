//! The ranges of time that were read.

use chrono::{DateTime, Utc};
use maud::{Markup, display, html};

use super::format::{count, time};
use crate::timeline::RunTrace;

pub(super) fn render(seen: &RunTrace) -> Markup {
    let about = "The ranges of time that were requested, on the server's clock. Rechecks read ended runs again, to find \
                 edits, at fixed times after their end. Other tables are listed completely, or from the newest row down \
                 to a known one.";
    html! {
        @if !seen.windows.tables.is_empty() {
            h3 { "Rechecks and windows" }
            p.about { (about) }
            (ranges(seen))
        }
    }
}

fn ranges(seen: &RunTrace) -> Markup {
    let tables = seen.windows.tables.iter();
    let kinds = tables.flat_map(|(table, kinds)| {
        let kinds = kinds.iter();
        kinds.map(move |(kind, requested)| (table, kind, requested))
    });
    html! {
        div.scroll {
            table {
                thead {
                    tr { th scope="col" { "window" } th scope="col" { "pages" } th scope="col" { "from … to" } }
                }
                tbody {
                    @for (table, kind, requested) in kinds {
                        tr data-table=(table) data-kind=(display(kind)) data-n=(requested.pages) {
                            th scope="row" { (table) ", " (display(kind)) }
                            td { (count(requested.pages)) }
                            td { @for range in &requested.ranges { div { (range_text(*range)) } } }
                        }
                    }
                }
            }
        }
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
