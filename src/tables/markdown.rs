//! The catalogue as a document: `docs/TABLES.md` is its output, and a test keeps it current.

use std::fmt::Write as _;

use super::{ALL, Column, Kind, Strategy, Table};

/// All tables and columns in Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Tables\n\nGenerated from `src/tables/` by `fivetran_source tables`; do not edit.\n\n\
         The key of every table is `id`. Columns marked ~ change by themselves at every read or poll: \
         they are sent with their row, but are no reason to send it.\n",
    );
    for table in ALL {
        // Writing to a String cannot fail.
        let _ = write_table(&mut text, table);
    }
    text
}

fn write_table(text: &mut String, table: &Table) -> std::fmt::Result {
    writeln!(text, "\n## {}\n\n{}", table.name, table.doc)?;
    writeln!(
        text,
        "Read with `POST {}/filter`; {}.\n",
        table.endpoint,
        strategy(table.strategy)
    )?;
    writeln!(text, "| column | type | meaning |\n|---|---|---|")?;
    for column in table.columns {
        let mark = if column.volatile { " ~" } else { "" };
        let Column {
            name, doc, kind, ..
        } = column;
        writeln!(text, "| `{name}`{mark} | {} | {doc} |", type_name(*kind))?;
    }
    Ok(())
}

fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Snapshot { .. } => {
            "all of it at every sync, and only the rows that changed are sent"
        }
        Strategy::NewestFirst { .. } => "newest first, down to what the last sync has seen",
        Strategy::Runs => {
            "once in full, then by what ended, what is open and what was edited (see SYNC.md)"
        }
    }
}

fn type_name(kind: Kind) -> &'static str {
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
            "write it anew: cargo run -- tables > docs/TABLES.md"
        );
    }
}
