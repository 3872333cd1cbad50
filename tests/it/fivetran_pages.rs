//! The pages for Fivetran's documentation, whose generated parts follow from the form and the tables.
//!
//! `PAGES=new` writes the parts again.

use std::{fmt::Write as _, fs};

use fivetran_source::{
    config::{self, Field, FieldKind, SetupTest},
    tables::{self, Deletes, Table},
};

use crate::support::in_checkout;

const OVERVIEW: &str = "docs/overview.md";
const SETUP_GUIDE: &str = "docs/setup-guide.md";

/// The length of a line of the documents.
const LINE: usize = 120;

#[test]
fn the_overview_is_current() {
    let parts = [
        ("features", features()),
        ("limits", limits()),
        ("schema", schema()),
    ];
    compare(OVERVIEW, &parts);
}

#[test]
fn the_setup_guide_is_current() {
    let parts = [("fields", fields()), ("setup tests", setup_tests())];
    compare(SETUP_GUIDE, &parts);
}

/// The result in README.md is a part of a generated document, so it is current whenever that document is.
#[test]
fn the_result_in_the_readme_is_one_of_the_demo() {
    let readme = fs::read_to_string(in_checkout("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- result:").expect("the part begins");
    let (part, _) = rest.split_once("<!-- end of result -->").expect("it ends");
    let results = fs::read_to_string(in_checkout("docs/queries/README.md")).unwrap();
    let lines: Vec<Vec<&str>> = results.lines().map(|line| cells(line, '┆')).collect();
    let shown: Vec<Vec<&str>> = part
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|-"))
        .map(|line| cells(line, '|'))
        .collect();
    assert!(shown.len() > 3, "{shown:?}");
    for row in shown {
        let is_there = |line: &Vec<&str>| row.iter().all(|cell| line.contains(cell));
        assert!(
            lines.iter().any(is_there),
            "README.md: {row:?} is not in docs/queries/README.md"
        );
    }
}

/// Returns the cells of a line of a table.
fn cells(line: &str, separator: char) -> Vec<&str> {
    let line = line.trim_matches(['|', '│', ' ']);
    line.split(separator).map(str::trim).collect()
}

/// Compares the generated parts of a page with the committed ones, or writes them if `PAGES=new` is set.
fn compare(page: &str, parts: &[(&str, String)]) {
    let path = in_checkout(page);
    let committed = fs::read_to_string(&path).unwrap();
    let mut current = committed.clone();
    for (name, text) in parts {
        let begin = format!("<!-- {name}: generated from the code -->\n");
        let end = format!("<!-- end of {name} -->\n");
        let (before, rest) = current.split_once(&begin).expect("the part begins");
        let (_, after) = rest.split_once(&end).expect("the part ends");
        current = format!("{before}{begin}{text}{end}{after}");
    }
    if std::env::var("PAGES").is_ok_and(|value| value == "new") {
        fs::write(&path, current).unwrap();
        return;
    }
    assert!(
        committed == current,
        "{page} is not current: PAGES=new cargo test --profile local --features local --test it fivetran_pages"
    );
}

/// Returns the lines of Fivetran's table of features. Those that are not listed are shown as not supported.
fn features() -> String {
    let captured: Vec<&str> = tables::ALL
        .iter()
        .filter(|table| is_captured(table))
        .map(|table| table.name)
        .collect();
    let open_runs: Vec<&str> = tables::ALL
        .iter()
        .filter(|table| table.deletes() == Deletes::OfOpenRuns)
        .map(|table| table.name)
        .collect();
    format!(
        "Capture Deletes: All objects of {}; scheduled and running runs of {}\n\
         Data Blocking: Column level, table level\n\
         Column Hashing:\n\
         Re-sync: Connection level\n\
         History Mode:\n\
         API Configurable:\n\
         Priority-first sync: Newest runs first\n",
        list(&captured),
        list(&open_runs)
    )
}

fn is_captured(table: &'static Table) -> bool {
    matches!(
        table.deletes(),
        Deletes::MissingFromListing | Deletes::LookedUp
    )
}

fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

/// Returns the limits, from the fields that have them.
fn limits() -> String {
    let mut text = String::from(
        "- Prefect Cloud, and self-hosted servers from 2.20. Tables that a release does not have are skipped.\n",
    );
    for name in ["requests_per_minute", "concurrency", "look_back_days"] {
        let field = field(name);
        add_item(
            &mut text,
            &format!("{}: {}", field.label, field.description),
        );
    }
    let kept: Vec<&str> = tables::ALL
        .iter()
        .filter(|table| {
            matches!(
                table.deletes(),
                Deletes::KeptWithAge | Deletes::KeptWithParent
            )
        })
        .map(|table| table.name)
        .collect();
    add_item(
        &mut text,
        &format!("Deletes are not captured for {}.", list(&kept)),
    );
    text
}

/// Returns the list of tables.
fn schema() -> String {
    let mut text =
        String::from("| table | primary key | a row is | deletes | |\n|---|---|---|---|---|\n");
    for table in tables::ALL {
        let deletes = match table.deletes() {
            Deletes::MissingFromListing | Deletes::LookedUp => "captured",
            Deletes::OfOpenRuns => "captured for open runs; ended runs are kept",
            Deletes::KeptWithAge | Deletes::KeptWithParent => "kept",
            Deletes::Impossible => "–",
        };
        let releases = match table.releases {
            "" => String::new(),
            releases => format!("releases: {releases}"),
        };
        let optional = table.choice.map_or("", |_| {
            if releases.is_empty() {
                "optional"
            } else {
                "optional; "
            }
        });
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {deletes} | {optional}{releases} |",
            table.name, table.columns[0].name, table.doc
        );
    }
    text
}

/// Returns the fields of the form, in the order of the form.
fn fields() -> String {
    let mut text = String::from("| field | needed | meaning |\n|---|---|---|\n");
    for field in config::FORM {
        if field.name == "advanced" {
            for (_, choice) in config::choices() {
                let _ = writeln!(
                    text,
                    "| **{}** | optional, off by default | {} |",
                    choice.label, choice.cost
                );
            }
        }
        let _ = writeln!(
            text,
            "| **{}** | {} | {} |",
            field.label,
            need(field),
            escaped(field.description)
        );
    }
    text
}

/// Returns when a field is shown and needed, with its default.
fn need(field: &Field) -> String {
    let mut facts = vec![if field.required { "yes" } else { "optional" }.to_owned()];
    if let Some(condition) = field.shown {
        facts.push(condition.label.to_lowercase());
    }
    match (field.kind, field.default) {
        (FieldKind::Toggle, Some("true")) => facts.push("on by default".to_owned()),
        (FieldKind::Toggle, _) => facts.push("off by default".to_owned()),
        (_, Some(default)) => facts.push(format!("default {default}")),
        (_, None) => {}
    }
    facts.join(", ")
}

/// Returns the setup tests, in the order in which Fivetran runs them.
fn setup_tests() -> String {
    let mut text = String::new();
    for (test, checks) in [
        (
            config::CONNECTION_TEST,
            "checks that a Prefect API responds at the API URL, that it accepts the credentials, and that its version is supported",
        ),
        (
            config::ACCESS_TEST,
            "checks that the credentials may read the tables; tables that are forbidden or that the server does not have are skipped in a sync",
        ),
        (
            config::FILTER_TEST,
            "runs the run filter, if there is one, and names fields that Prefect does not know",
        ),
    ] {
        let SetupTest { label, .. } = test;
        add_item(&mut text, &format!("The **{label}** test {checks}."));
    }
    text
}

fn field(name: &str) -> &'static Field {
    let mut fields = config::FORM.iter();
    fields.find(|field| field.name == name).expect("a field")
}

/// Adds an item of a list, in lines of the usual length.
fn add_item(text: &mut String, item: &str) {
    let mut line = String::from("-");
    for word in escaped(item).split_whitespace() {
        if line.len() + 1 + word.len() > LINE {
            let _ = writeln!(text, "{line}");
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

/// Returns a text in which Markdown takes nothing for a tag or for the end of a cell.
fn escaped(text: &str) -> String {
    text.replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('|', "\\|")
}
