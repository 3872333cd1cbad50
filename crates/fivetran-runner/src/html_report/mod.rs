//! The HTML report that each run writes: one file that can be read without network and scripts.
//!
//! It begins with what a user asks: the outcome, the changes, the data. The requests are collapsed at the end.
//!
//! Charts are SVG or boxes made here, with their numbers as attributes (`data-…`) and in a table beside them. Each
//! element is a template of `maud`, which escapes all texts.
//!
//! | file | content |
//! |---|---|
//! | `contents`, `chart` | the contents of the report, and the charts that its caller adds |
//! | `overview`, `data_charts` | the outcome and the changes; the data |
//! | `timeline`, `windows` | the requests and the ranges of time that were read |
//! | `files` | the files of the last reports |
//! | `elements` | sections, charts, tables and legends |
//! | `axis`, `format` | scales, and numbers in readable form |

mod axis;
mod chart;
mod contents;
mod data_charts;
mod elements;
mod files;
mod format;
mod overview;
mod timeline;
mod windows;

use std::path::{Path, PathBuf};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::elements::section;
pub(super) use self::files::reports;
pub use self::{
    chart::{Chart, ColumnKind, Drawing, Series, TableColumn, Tone},
    contents::{ReportContents, TelemetrySource},
};
use super::error::Error;

/// The most bars of the whole timeline, so that the file stays small.
const MOST_BARS: usize = 1_500;

/// Writes the report into the folder, in place of the previous one, and a copy into the folder of the last reports.
/// Returns the path of the report.
pub fn write(dir: &Path, report: &ReportContents<'_>) -> Result<PathBuf, Error> {
    files::write(dir, report.began, &render(report))
}

/// Renders the report as HTML.
pub(super) fn render(report: &ReportContents<'_>) -> String {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            (head(report))
            body {
                main {
                    (overview::header(report))
                    (outcome(report))
                    (data_charts::render(report))
                    (requests(report))
                    (overview::footer(report))
                }
                div id="tip" hidden {}
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    };
    html.into_string()
}

fn head(report: &ReportContents<'_>) -> Markup {
    // The policy prevents any fetch, whatever text gets into the report.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
                  base-uri 'none'; form-action 'none'";
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            // Without this browsers request an icon.
            link rel="icon" href="data:,";
            title { "Sync report: " (report.subject) }
            style { (PreEscaped(include_str!("style.css"))) }
        }
    }
}

/// The sections about the outcome.
fn outcome(report: &ReportContents<'_>) -> Markup {
    let seen = match report.heard {
        TelemetrySource::Everything(seen) => Some(seen),
        TelemetrySource::Nothing(_) => None,
    };
    html! {
        (overview::tiles(report.outcome, seen))
        (overview::warnings(report.outcome))
        (overview::tables(report.outcome))
    }
}

/// The section about the requests, collapsed.
fn requests(report: &ReportContents<'_>) -> Markup {
    let seen = match report.heard {
        TelemetrySource::Everything(seen) => seen,
        TelemetrySource::Nothing(why) => {
            return section("requests", "Requests", why, &Markup::default());
        }
    };
    let mut thinned = seen.clone();
    thinned.thin(MOST_BARS);
    let content = html! {
        (timeline::render(&thinned))
        (windows::render(&thinned))
    };
    let content = elements::details(&overview::requests_in_short(seen), &content);
    section("requests", "Requests", "", &content)
}

#[cfg(test)]
mod tests;
