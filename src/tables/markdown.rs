//! The catalogue of the tables as a document: `docs/TABLES.md`, which a test keeps current.

use std::fmt::Write as _;

use super::{ALL, Column, ColumnType, Deletes, Listing, Source, Strategy, Table};

const HEAD: &str = "\
# Tables

Generated from `src/tables/` by `fivetran_source tables --markdown`; do not edit.

The key of every table is `id`. Every table has `workspace_id`, so that several workspaces can share a
destination, and `unmapped`, which contains the values without a column. ~ marks columns that change at every read
or poll: a change of such a column alone does not send the row. † marks columns that Prefect also changes without
`updated`, for example when a queue is renamed: they keep the value that was last sent with the row (see SYNC.md).
*null* shows whether a column can be null; *releases* lists the releases of Prefect that have the column or the table.

![Relations between the tables](tables.svg)

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
        "| table | rows | releases | synced |\n|---|---|---|---|"
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
                Some(choice) => format!("if `{}`", choice.field),
            }
        )?;
    }
    Ok(())
}

/// Writes the keys that Prefect itself leaves pointing to nothing.
fn write_dangling(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n## Keys that may point to nothing\n\nPrefect keeps these ids after the object was deleted, or returns ids \
         of objects that have aged out. Join them with `left join`; every other key has its row, unless the row was \
         deleted or its table is not synced.\n"
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
            "- cost: off unless `{}` is switched on. {}",
            choice.field, choice.cost
        )?;
    }
    if !table.dropped_fields.is_empty() {
        writeln!(
            text,
            "- never synced: `{}`",
            table.dropped_fields.join("`, `")
        )?;
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
        Source::Unmapped => "remaining fields".to_owned(),
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
        Strategy::Nested(part) => format!(
            "in `{}` of `{}`, without a request of its own",
            part.column, part.parent.name
        ),
        Strategy::Server => {
            "`GET /admin/version`, `GET /version`, `GET /admin/settings`".to_owned()
        }
        Strategy::Snapshot(Listing {
            each: Some(each), ..
        }) => format!(
            "`POST {endpoint}/filter`, one request for each of `{}`",
            each.table.name
        ),
        Strategy::Snapshot(Listing {
            second: Some(second),
            ..
        }) => format!(
            "`POST {endpoint}/filter`, and `POST {}/filter` for the rows that this omits",
            second.table.endpoint
        ),
        _ => format!("`POST {endpoint}/filter`"),
    }
}

fn strategy(table: &'static Table) -> &'static str {
    match table.source().strategy {
        Strategy::Snapshot(_) | Strategy::Server | Strategy::Nested(_) => {
            "each sync reads the complete table and sends only the rows that changed; detected by the next sync"
        }
        Strategy::NewestFirst { .. } => {
            "newest first, down to the rows that the last sync read; detected by the next sync"
        }
        Strategy::Runs => {
            "completely once, then the runs that ended, are open or were edited (see SYNC.md); detected by the next sync, edits of ended runs after five times their age at most"
        }
        Strategy::AppendOnly(_) => {
            "append-only: each sync reads the rows with a time after the last sync; rows that arrive up to 15 minutes late are found"
        }
    }
}

fn deletes(table: &'static Table) -> &'static str {
    match table.deletes() {
        Deletes::MissingFromListing => "detected by the next sync, by a complete listing",
        Deletes::LookedUp => "detected by the next sync, by a complete listing and a look-up",
        Deletes::OfOpenRuns => {
            "of open runs, by the next sync; runs that age out of Prefect are kept as history"
        }
        Deletes::KeptWithParent => "none: rows are kept as history",
        Deletes::KeptWithAge => "none: rows that age out of Prefect are kept as history",
        Deletes::Impossible => "none",
    }
}

/// Returns Fivetran's name of a type.
pub(super) fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::String => "STRING",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Long => "LONG",
        ColumnType::Double => "DOUBLE",
        ColumnType::UtcDatetime => "UTC_DATETIME",
        ColumnType::Json => "JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let written = include_str!("../../docs/TABLES.md");
        assert_eq!(written, markdown(), "regenerate it: make generated");
    }

    #[test]
    fn the_readme_lists_the_tables() {
        let text = include_str!("../../README.md");
        let (_, list) = text.split_once("<!-- tables: ").expect("a list");
        let (list, _) = list.split_once("<!-- end of tables -->").expect("an end");
        let (_, list) = list.split_once("-->").expect("a comment");
        let (always, optional) = list.split_once("if turned on").expect("optional tables");
        for (listed, is_optional) in [(always, false), (optional, true)] {
            let all = ALL.iter().filter(|it| it.choice.is_some() == is_optional);
            let names: Vec<&str> = all.map(|table| table.name).collect();
            let listed: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
            assert_eq!(listed, names, "regenerate it: make generated");
        }
    }
}
