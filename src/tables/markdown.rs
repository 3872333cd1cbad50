//! The catalogue of the tables as a document: `docs/TABLES.md`, which a test keeps current.

use std::fmt::Write as _;

use super::{ALL, Column, Feed, Kind, Listing, LookUp, Source, Strategy, Table};

const HEAD: &str = "\
# Tables

Generated from `src/tables/` by `fivetran_source tables --markdown`; do not edit.

The key of every table is `id`. Every table has `workspace_id`, so that several workspaces can share a
destination, and `unmapped`, which keeps what has no column. ~ marks columns that change by themselves at every
read or poll: they are sent with their row, but are no reason to send it. † marks columns that Prefect also changes
without `updated`, as when a queue is renamed: they keep the value that was last sent with the row (see SYNC.md).
Columns that can be null say so; *releases* tells which releases of Prefect have a column or a table, where not all do.

![How the tables hang together](tables.svg)

";

/// Returns all tables and columns in Markdown.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    // Writing to a String cannot fail.
    let _ = write_overview(&mut text);
    let _ = write_dangling(&mut text);
    for table in ALL {
        let _ = write_table(&mut text, table);
    }
    text
}

fn write_overview(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "| table | what a row is | releases | chosen |\n|---|---|---|---|"
    )?;
    for table in ALL {
        writeln!(
            text,
            "| [{name}](#{name}) | {doc} | {releases} | {chosen} |",
            name = table.name,
            doc = table.doc,
            releases = or_all(table.releases),
            chosen = match table.choice {
                None => "always".to_owned(),
                Some(choice) => format!("by `{}`", choice.field),
            }
        )?;
    }
    Ok(())
}

/// Writes the keys that Prefect itself leaves pointing to nothing.
fn write_dangling(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n## Keys that may point to nothing\n\n\
         Prefect keeps these ids after the object is gone, or gives ids of objects that it has forgotten with age. \
         Join them with `left join`; all other keys have their row, unless it was deleted or its table is not synced.\n"
    )?;
    for table in ALL {
        let dangling = table.columns.iter().filter_map(|column| {
            let reference = column.references.filter(|reference| reference.dangles)?;
            Some(format!("`{}` ({})", column.name, reference.table))
        });
        let dangling: Vec<String> = dangling.collect();
        if !dangling.is_empty() {
            writeln!(text, "- `{}`: {}", table.name, dangling.join(", "))?;
        }
    }
    Ok(())
}

fn write_table(text: &mut String, table: &'static Table) -> std::fmt::Result {
    writeln!(text, "\n## {}\n\n{}\n", table.name, table.doc)?;
    writeln!(text, "- read: {}", reading(table))?;
    writeln!(text, "- changes: {}", strategy(table))?;
    writeln!(text, "- deletes: {}", deletes(table))?;
    if !table.releases.is_empty() {
        writeln!(text, "- releases: {}", table.releases)?;
    }
    if let Some(choice) = table.choice {
        writeln!(
            text,
            "- cost: off unless `{}` is chosen. {}",
            choice.field, choice.cost
        )?;
    }
    if !table.left_out.is_empty() {
        writeln!(text, "- never synced: `{}`", table.left_out.join("`, `"))?;
    }
    writeln!(
        text,
        "\n| column | type | null | from | releases | meaning |\n|---|---|---|---|---|---|"
    )?;
    for column in table.columns {
        write_column(text, column)?;
    }
    Ok(())
}

fn write_column(text: &mut String, column: &Column) -> std::fmt::Result {
    let from = match column.source {
        Source::Json(places) => format!("`{}`", places.join("`, `")),
        Source::Workspace => "the API URL".to_owned(),
        Source::Unmapped => "what is left".to_owned(),
    };
    let key = match column.references {
        Some(reference) => format!(" → [{name}](#{name})", name = reference.table),
        None => String::new(),
    };
    writeln!(
        text,
        "| `{}`{} | {} | {} | {from} | {} | {}{key} |",
        column.name,
        match (column.volatile, column.as_sent) {
            (true, _) => " ~",
            (_, true) => " †",
            _ => "",
        },
        type_name(column.kind),
        if column.required { "no" } else { "yes" },
        or_all(column.releases),
        column.doc,
    )
}

fn or_all(releases: &str) -> &str {
    if releases.is_empty() { "all" } else { releases }
}

fn reading(table: &Table) -> String {
    let endpoint = table.endpoint.replace("{}", "<name>");
    match table.strategy {
        Strategy::Part(part) => format!(
            "in `{}` of `{}`, at no request of its own",
            part.column, part.of.name
        ),
        Strategy::Server => {
            "`GET /admin/version`, `GET /version`, `GET /admin/settings`".to_owned()
        }
        Strategy::Snapshot(Listing {
            each: Some(each), ..
        }) => format!(
            "`POST {endpoint}/filter`, one request for each of `{}`",
            each.of.name
        ),
        Strategy::Snapshot(Listing {
            second: Some(second),
            ..
        }) => format!(
            "`POST {endpoint}/filter`, and `POST {}/filter` for what that leaves out",
            second.of.endpoint
        ),
        _ => format!("`POST {endpoint}/filter`"),
    }
}

fn strategy(table: &'static Table) -> &'static str {
    match table.source().strategy {
        Strategy::Snapshot(_) | Strategy::Server | Strategy::Part(_) => {
            "all of it is read at every sync, and only the rows that changed are sent; seen by the next sync"
        }
        Strategy::NewestFirst { .. } => {
            "newest first, down to what the last sync has seen; seen by the next sync"
        }
        Strategy::Runs => {
            "once in full, then what ended, what is open and what was edited (see SYNC.md); seen by the next sync, edits of ended runs by five times their age"
        }
        Strategy::Tail(_) => {
            "rows are only ever added, and read by their time from the last sync on; what arrives up to 15 minutes late is found"
        }
    }
}

fn deletes(table: &'static Table) -> &'static str {
    match table.strategy {
        Strategy::Snapshot(Listing {
            look_up: LookUp::None,
            ..
        })
        | Strategy::Part(_)
            if matches!(table.source().strategy, Strategy::Snapshot(_)) =>
        {
            "seen by the next sync, from a complete listing"
        }
        Strategy::Part(_) => "none: rows stay with the history",
        Strategy::Snapshot(_)
        | Strategy::NewestFirst {
            keeps_history: false,
            ..
        } => "seen by the next sync, from a complete listing and a look-up",
        Strategy::Runs => {
            "of open runs, by the next sync; what ages out of Prefect stays, for it is history"
        }
        Strategy::NewestFirst { .. } | Strategy::Tail(Feed::Logs | Feed::Events(_)) => {
            "none: what ages out of Prefect stays, for it is history"
        }
        Strategy::Server => "none",
    }
}

/// Returns Fivetran's name of a type.
pub(super) fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "STRING",
        Kind::Boolean => "BOOLEAN",
        Kind::Long => "LONG",
        Kind::Double => "DOUBLE",
        Kind::UtcDatetime => "UTC_DATETIME",
        Kind::Json => "JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let written = include_str!("../../docs/TABLES.md");
        assert_eq!(
            written,
            markdown(),
            "write it anew: cargo run -- tables --markdown > docs/TABLES.md"
        );
    }
}
