//! The HTML report that each run writes: `report.html`, one file that can be read without network and scripts.
//!
//! Every chart is SVG made here, with its numbers as attributes (`data-…`) and in a table beside it. Texts can only
//! be written escaped (`html`).
//!
//! | file | content |
//! |---|---|
//! | `contents`, `chart` | the contents of the report, and the charts that its caller adds |
//! | `overview`, `timeline`, `latency`, `windows`, `bars`, `first_look` | a section each |
//! | `elements` | sections, charts, tables and legends |
//! | `axis`, `words` | scales, and numbers in readable form |
//! | `html` | elements and escaped text |

mod axis;
mod bars;
mod chart;
mod contents;
mod elements;
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

pub use self::{
    chart::{Chart, Drawing, Series, Tone},
    contents::{Heard, Page},
};
use self::{elements::open_section, html::Html};
use super::{error::Error, options::REPORT_FILE, state::temporary, timeline::Seen};

/// The most bars of the whole timeline, so that the file stays small.
const MOST_BARS: usize = 1_500;

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

#[cfg(test)]
mod tests;
