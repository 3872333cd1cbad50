//! The HTML report that each run writes: `report.html`, one file that can be read without network and scripts.
//!
//! Every chart is SVG made here, with its numbers as attributes (`data-…`) and in a table beside it. Each element is a
//! template of `maud`, which escapes all texts.
//!
//! | file | content |
//! |---|---|
//! | `contents`, `chart` | the contents of the report, and the charts that its caller adds |
//! | `overview`, `timeline`, `latency`, `windows`, `bars`, `data_charts` | a section each |
//! | `elements` | sections, charts, tables and legends |
//! | `axis`, `format` | scales, and numbers in readable form |

mod axis;
mod bars;
mod chart;
mod contents;
mod data_charts;
mod elements;
mod format;
mod latency;
mod overview;
mod timeline;
mod windows;

use std::{
    fs,
    path::{Path, PathBuf},
};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::elements::section;
pub use self::{
    chart::{Chart, Drawing, Series, Tone},
    contents::{ReportContents, TelemetrySource},
};
use super::{error::Error, options::REPORT_FILE, state::temporary, timeline::RunTrace};

/// The most bars of the whole timeline, so that the file stays small.
const MOST_BARS: usize = 1_500;

/// Writes the report into the folder, in place of the previous one. Returns its path.
pub fn write(dir: &Path, report: &ReportContents<'_>) -> Result<PathBuf, Error> {
    let path = dir.join(REPORT_FILE);
    let temporary = temporary(&path);
    let write = || {
        fs::write(&temporary, render(report))?;
        fs::rename(&temporary, &path)
    };
    write().map_err(|error| Error::io("write", &path, error))?;
    Ok(path)
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
                    (of_sync(report))
                    (data_charts::render(report))
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

/// The sections about the run, up to the first look at the data.
fn of_sync(report: &ReportContents<'_>) -> Markup {
    let outcome = report.outcome;
    match report.heard {
        TelemetrySource::Everything(seen) => {
            let mut seen = seen.clone();
            seen.thin(MOST_BARS);
            html! {
                (overview::tiles(outcome, Some(&seen)))
                (overview::warnings(outcome))
                (timeline::render(&seen))
                (latency::render(&seen))
                (windows::render(&seen))
                (overview::tables(outcome))
                (bars::render(outcome, &seen))
            }
        }
        TelemetrySource::Nothing(why) => html! {
            (overview::tiles(outcome, None))
            (overview::warnings(outcome))
            // In place of everything about requests.
            (section("requests", "Requests", why, &Markup::default()))
            (overview::tables(outcome))
            (bars::render(outcome, &RunTrace::default()))
        },
    }
}

#[cfg(test)]
mod tests;
