//! The charts of rows and bytes by table.

use maud::{Markup, html};

use super::{
    elements::{label, picture, section},
    format::{Px, bytes, count, float},
};
use crate::{sync_outcome::SyncOutcome, timeline::RunTrace};

const WIDTH: f64 = 540.0;
const LEFT: f64 = 228.0;
/// The right end of the longest bar. Its number follows.
const RIGHT: f64 = 470.0;
const ROW: f64 = 20.0;

/// A bar: its name, its value, and the value as text.
type Bar = (String, u64, String);

pub(super) fn render(outcome: &SyncOutcome, seen: &RunTrace) -> Markup {
    let about = "Rows sent per table, deletes included. Bytes read from the server per listing, decompressed.";
    let rows = outcome.tables.iter().map(|table| {
        let operations = table.operations;
        let sent = operations.upserts + operations.updates + operations.deletes;
        (short(&table.table).to_owned(), sent, count(sent))
    });
    let read = seen.tracks.iter().map(|track| {
        let read = track.requests.sum().bytes;
        (track.name.clone(), read, bytes(read))
    });
    let content = html! {
        div.two {
            (part("rows", "Rows sent", rows.collect()))
            (part("bytes", "Bytes read", read.collect()))
        }
    };
    section("volume", "Rows and bytes", about, &content)
}

/// The table's name without its schema.
fn short(table: &str) -> &str {
    table.rsplit('.').next().unwrap_or(table)
}

fn part(id: &str, title: &str, mut bars: Vec<Bar>) -> Markup {
    let none = bars.iter().filter(|bar| bar.1 == 0).count();
    bars.retain(|bar| bar.1 > 0);
    bars.sort_by_key(|bar| std::cmp::Reverse(bar.1));
    let text = match (bars.len(), none) {
        (_, 0) => String::new(),
        (0, _) => "None.".to_owned(),
        (_, 1) => "None for one other.".to_owned(),
        (_, none) => format!("None for {none} others."),
    };
    html! {
        div id=(id) {
            h3 { (title) }
            @if !bars.is_empty() { (drawing(title, &bars)) }
            p.about { (text) }
        }
    }
}

fn drawing(title: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.1).max().unwrap_or(1);
    let content = html! {
        @for (number, (name, value, text)) in bars.iter().enumerate() {
            @let y = 2.0 + ROW * float(number as u64);
            @let width = ((RIGHT - LEFT) * float(*value) / float(most)).max(1.0);
            (label("end", (LEFT - 8.0, y + 13.0), name))
            rect x=(Px(LEFT)) y=(Px(y + 2.0)) width=(Px(width)) height=(Px(ROW - 5.0)) class="blue"
                data-name=(name) data-value=(value) data-tip={ (name) ": " (text) } {}
            (label("tick", (LEFT + width + 6.0, y + 13.0), text))
        }
    };
    let height = ROW * float(bars.len() as u64) + 4.0;
    picture(title, (WIDTH, height), &content)
}
