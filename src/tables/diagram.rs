//! The references between the tables as a Graphviz graph, the source of `docs/tables.svg`. A test keeps the
//! picture current.

use std::fmt::Write as _;

use super::{ALL, Strategy, Table};

/// The head of the graph. A solid line is a key whose row exists; a dashed line may point to nothing.
const HEAD: &str = "\
// Generated from `src/tables/` by `fivetran_source tables --diagram`; drawn by `dot -Tsvg`.
digraph tables {
  graph [rankdir=LR, nodesep=0.28, ranksep=1.1, bgcolor=white, fontname=Helvetica, pad=0.3, fontsize=12,
         label=\"blue: runs and their parts, green: other tables, amber: off by default    solid: the row exists, dashed: may point to nothing\"]
  node [shape=plain, fontname=Helvetica, fontsize=11]
  edge [color=\"#5b6b7b\", arrowsize=0.7]
";

/// Returns the graph in Graphviz's language.
pub fn diagram() -> String {
    let mut text = String::from(HEAD);
    // Writing to a String cannot fail.
    for table in ALL {
        let _ = write_table(&mut text, table);
    }
    for table in ALL {
        let _ = write_keys(&mut text, table);
    }
    // Tables that are not connected to others are placed at the right.
    let is_alone = |table: &&&Table| {
        let points = table.columns.iter().any(|it| it.references.is_some());
        let mut all = ALL.iter().flat_map(|other| other.columns);
        let is_pointed_at = all.any(|it| {
            it.references
                .is_some_and(|reference| reference.table == table.name)
        });
        !points && !is_pointed_at
    };
    let alone: Vec<&str> = ALL
        .iter()
        .filter(is_alone)
        .map(|table| table.name)
        .collect();
    let _ = writeln!(text, "  {{ rank=max; {} }}", alone.join("; "));
    text.push_str("}\n");
    text
}

/// Writes the table's name, its key, its keys of other tables and the number of its other columns.
fn write_table(text: &mut String, table: &Table) -> std::fmt::Result {
    let colour = match (table.choice, table.strategy) {
        (Some(_), _) => "#b7791f",
        (None, Strategy::Runs) => "#2b6cb0",
        (None, Strategy::Nested(part)) if matches!(part.parent.strategy, Strategy::Runs) => {
            "#2b6cb0"
        }
        (None, _) => "#2f855a",
    };
    write!(
        text,
        "  {name} [label=<<table border=\"0\" cellborder=\"1\" cellspacing=\"0\" cellpadding=\"4\" color=\"{colour}\">\
         <tr><td port=\"id\" bgcolor=\"{colour}\"><font color=\"white\"><b>{name}</b></font></td></tr>",
        name = table.name
    )?;
    let keys = table.columns.iter().filter(|it| it.references.is_some());
    for column in keys.clone() {
        write!(
            text,
            "<tr><td port=\"{name}\" align=\"left\">{name}</td></tr>",
            name = column.name
        )?;
    }
    let others = table.columns.len() - keys.count() - 1;
    writeln!(
        text,
        "<tr><td align=\"left\"><font color=\"#718096\">id, and {others} more</font></td></tr></table>>]"
    )
}

fn write_keys(text: &mut String, table: &Table) -> std::fmt::Result {
    for column in table.columns {
        if let Some(reference) = column.references {
            let style = if reference.dangles { "dashed" } else { "solid" };
            writeln!(
                text,
                "  {}:{}:e -> {}:id:w [style={style}]",
                table.name, column.name, reference.table
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any version of Graphviz may draw the picture, but from this graph.
    #[test]
    fn the_picture_is_current() {
        let drawn = include_str!("../../docs/tables.svg");
        let source = drawn
            .split("<!-- source\n")
            .nth(1)
            .and_then(|rest| rest.split("-->").next());
        assert_eq!(
            source,
            // Two hyphens are not allowed in an XML comment.
            Some(&*diagram().replace("--", "- -")),
            "draw it again: make generated (needs Graphviz)"
        );
    }
}
