//! The outcomes as a document.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Ends, faults::Case, run::Outcome};
use crate::support::in_checkout;

/// The group whose rows are about an object of a page.
pub(super) const OBJECTS: &str = "An object of a page";

const DOCUMENT: &str = "docs/RELIABILITY.md";

/// So many messages of one kind of run are shown.
const MESSAGES: usize = 3;

/// A row of the document.
pub(super) struct Row {
    pub(super) group: &'static str,
    pub(super) cells: Vec<String>,
}

impl Ends {
    /// How the document calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Survives => "survived",
            Self::Told => "told",
            Self::Believed => "believed",
            Self::Unavailable | Self::Task | Self::Internal | Self::InvalidArgument => {
                "clear error"
            }
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Survives | Self::Told | Self::Believed => "Warning",
            Self::Unavailable => "UNAVAILABLE",
            Self::Task => "Task",
            Self::Internal => "INTERNAL",
            Self::InvalidArgument => "INVALID_ARGUMENT",
        }
    }
}

impl Row {
    /// Of the runs of a case, in their order.
    pub(super) fn of(case: &Case, outcomes: &[Outcome]) -> Self {
        let (once, forever) = outcomes.split_at(outcomes.len() / 2);
        let mut told: Vec<String> = Vec::new();
        for outcome in forever {
            for text in &outcome.told {
                // The same wherever it begins, but for the table.
                let text = text
                    .replace("table flows", "table flow_runs")
                    .replace("/flows/", "/flow_runs/")
                    .replace(": /flows ", ": /flow_runs ");
                let text = format!("{}: {text}", outcome.ends.kind());
                if !told.contains(&text) {
                    told.push(text);
                }
            }
        }
        Self {
            group: case.group,
            cells: vec![
                case.name.to_owned(),
                counted(once),
                counted(forever),
                some_of(told),
            ],
        }
    }
}

/// The first messages by the alphabet: tables are read at the same time, so that they come in any order.
pub(super) fn some_of(mut told: Vec<String>) -> String {
    told.sort_unstable();
    if told.len() > MESSAGES {
        told.truncate(MESSAGES);
        told.push("…".to_owned());
    }
    told.join("<br>")
}

/// `survived 3`.
fn counted(outcomes: &[Outcome]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.ends.word()).or_default() += 1;
    }
    let words: Vec<String> = counts
        .iter()
        .rev()
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    words.join(", ")
}

/// What is told, without what is different at each run: as `HOST` and `PORT`.
pub(super) fn hide_addresses(text: &str) -> String {
    let text = text.replace("0.0.0.0", "127.0.0.1");
    let mut parts = text.split("127.");
    let mut hidden = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        hidden.push_str("HOST");
        // The address, but not the full stop of a sentence.
        let end = part.find(|c: char| !c.is_ascii_digit() && c != '.');
        let end = part[..end.unwrap_or(part.len())]
            .trim_end_matches('.')
            .len();
        let rest = &part[end..];
        let digits = rest.strip_prefix(':').unwrap_or_default();
        let after = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        if after.len() < digits.len() {
            hidden.push_str(":PORT");
            hidden.push_str(after);
        } else {
            hidden.push_str(rest);
        }
    }
    hidden
}

const INTRODUCTION: &str = "\
# Reliability

Written by `make reliability` from what happens in the tests (`tests/it/chaos/`); do not edit.

Whatever goes wrong between the connector and Prefect, you can rely on this:

- **Nothing is lost.** A sync that cannot go on ends with an error after a checkpoint. The next one goes on from
  there and completes the destination. A page that was not read to its end counts for nothing.
- **Nothing is deleted falsely.** An object is gone when a complete listing does not have it and a look-up by its
  id says so too; an answer that failed says nothing about what is there.
- **What passes by itself is borne**: a request is tried up to eight times, with growing pauses; a pause that the
  server asks for is kept.
- **What does not is said in words**, with what to check: `UNAVAILABLE` is tried again by Fivetran, a Task waits
  for you.
- **An answer that does not fit the question is asked for again**: a page that does not go on where the one before
  it ended, or that holds what was not asked for, as a cache on the way may give it. What cannot be told is a server
  that goes on saying that nothing is there from a workspace that was emptied. Let nothing cache answers.
- **One bad object holds up no other.** A value that does not fit its column is kept in `unmapped`, and told.
- **The key stays.** It is sent to the configured address only; redirects are not followed.

Each row below is a test over sockets: a proxy stands between the connector and a server and does one thing to a
connection or an answer, once or from then on. It is tried at the first request for flows, at a later page of runs,
and at the first request for flows of the second sync. *Survived*: the sync ends well and the destination is the
server's content, each row sent once. *Clear error*: it ends with the message beside it. *Told*: it ends well and a
warning says what is missing. *Believed*: the answer cannot be told from a right one. After each run the fault is
taken away, and the next sync must complete the destination exactly, and the one after it send nothing.

`make soak` lets all of it happen together, for simulated hours: a sync every five minutes, any answer spoilt in any
of these ways, callers that go away, a workspace in which runs start, end and are edited meanwhile. No row that is there
ever counts as deleted, and when the weather has cleared the destination holds what the server does.
";

fn heads(row: &Row) -> &'static str {
    match row.cells.len() {
        3 => "| what | runs | what the user reads |\n|---|---|---|",
        _ if row.group == OBJECTS => {
            "| what it is | runs | what becomes of it | what the user reads |\n|---|---|---|---|"
        }
        _ => "| fault | once | from then on | what the user reads in the end |\n|---|---|---|---|",
    }
}

/// The document.
pub(super) fn document(rows: &[Row]) -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut group = "";
    for row in rows {
        if row.group != group {
            group = row.group;
            let _ = writeln!(text, "\n## {group}\n\n{}", heads(row));
        }
        let cells: Vec<String> = row
            .cells
            .iter()
            .map(|cell| cell.replace('|', "\\|"))
            .collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Compares the document with the one that is kept, or writes it where `RELIABILITY=new` asks for it.
pub(super) fn compare(document: &str) {
    let path = in_checkout(DOCUMENT);
    if std::env::var("RELIABILITY").is_ok_and(|value| value == "new") {
        std::fs::write(&path, document).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (have, want)) in written.lines().zip(document.lines()).enumerate() {
        let line = number + 1;
        assert_eq!(
            have, want,
            "{DOCUMENT}:{line}: write it anew: make reliability"
        );
    }
    assert_eq!(
        written, document,
        "{DOCUMENT} is not current: make reliability"
    );
}
