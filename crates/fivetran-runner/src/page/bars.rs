//! The charts of rows and bytes by table.

use super::{
    elements::{close_picture, label, open_picture, open_section, rect},
    html::Html,
    words::{bytes, count, float},
};
use crate::{outcome::Outcome, timeline::Seen};

const WIDTH: f64 = 540.0;
const LEFT: f64 = 228.0;
/// The right end of the longest bar. Its number follows.
const RIGHT: f64 = 470.0;
const ROW: f64 = 20.0;

/// A bar: its name, its value, and the value as text.
type Bar = (String, u64, String);

pub(super) fn section(html: &mut Html, outcome: &Outcome, seen: &Seen) {
    let about = "Rows sent per table, deletes included. Bytes read from the server per listing, decompressed.";
    open_section(html, "volume", "Rows and bytes", about);
    let rows = outcome.tables.iter().map(|table| {
        let operations = table.operations;
        let sent = operations.upserts + operations.updates + operations.deletes;
        (short(&table.table).to_owned(), sent, count(sent))
    });
    let read = seen.tracks.iter().map(|track| {
        let read = track.requests.sum().bytes;
        (track.name.clone(), read, bytes(read))
    });
    html.open("div", &[("class", &"two")]);
    part(html, ("rows", "Rows sent"), rows.collect());
    part(html, ("bytes", "Bytes read"), read.collect());
    html.close("div");
    html.close("section");
}

/// The table's name without its schema.
fn short(table: &str) -> &str {
    table.rsplit('.').next().unwrap_or(table)
}

fn part(html: &mut Html, (id, title): (&'static str, &str), mut bars: Vec<Bar>) {
    html.open("div", &[("id", &id)]);
    html.leaf("h3", &[], title);
    let none = bars.iter().filter(|bar| bar.1 == 0).count();
    bars.retain(|bar| bar.1 > 0);
    bars.sort_by_key(|bar| std::cmp::Reverse(bar.1));
    if !bars.is_empty() {
        picture(html, title, &bars);
    }
    let text = match (bars.len(), none) {
        (_, 0) => String::new(),
        (0, _) => "None.".to_owned(),
        (_, 1) => "None for one other.".to_owned(),
        (_, none) => format!("None for {none} others."),
    };
    html.leaf("p", &[("class", &"about")], text);
    html.close("div");
}

fn picture(html: &mut Html, title: &str, bars: &[Bar]) {
    let most = bars.iter().map(|bar| bar.1).max().unwrap_or(1);
    open_picture(html, title, (WIDTH, ROW * float(bars.len() as u64) + 4.0));
    for (number, (name, value, text)) in bars.iter().enumerate() {
        let y = 2.0 + ROW * float(number as u64);
        label(html, "end", (LEFT - 8.0, y + 13.0), name);
        let width = ((RIGHT - LEFT) * float(*value) / float(most)).max(1.0);
        let tip = format!("{name}: {text}");
        rect(
            html,
            (LEFT, y + 2.0, width, ROW - 5.0),
            &[
                ("class", &"blue"),
                ("data-name", name),
                ("data-value", value),
                ("data-tip", &tip),
            ],
        );
        label(html, "tick", (LEFT + width + 6.0, y + 13.0), text);
    }
    close_picture(html);
}
