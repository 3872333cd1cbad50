//! Checks of the tables and columns that the command line selects, before our connector is started.

use std::collections::{BTreeMap, HashMap};

use fivetran_runner::Names;

use super::tables;
use crate::{config, tables::Table};

/// Checks the selected names against the catalogue and the configuration. The error reports each wrong name once.
pub(super) fn check(names: &Names, configuration: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let configuration: HashMap<_, _> = configuration.clone().into_iter().collect();
    // An invalid configuration is reported by the setup tests.
    let Ok(parsed) = config::parse(&configuration) else {
        return Ok(());
    };
    let wrong = wrong_names(names, &parsed.settings.tables);
    if wrong.is_empty() {
        return Ok(());
    }
    anyhow::bail!("{}", wrong.join("\nerror: "))
}

/// Returns a sentence for each name that cannot be selected.
fn wrong_names(names: &Names, included: &[&'static Table]) -> Vec<String> {
    let tables = names.tables.iter().map(|name| table(name, included).err());
    let columns = names.columns.iter().chain(&names.but);
    let columns = columns.map(|name| column(name, included).err());
    let mut wrong: Vec<String> = Vec::new();
    for why in tables.chain(columns).flatten() {
        if !wrong.contains(&why) {
            wrong.push(why);
        }
    }
    wrong
}

/// Returns a table that the configuration includes.
fn table(name: &str, included: &[&'static Table]) -> Result<&'static Table, String> {
    let table = tables::find(name)?;
    if included.iter().any(|other| other.name == table.name) {
        return Ok(table);
    }
    let field = table.choice.map_or("", |choice| choice.field);
    Err(format!(
        "table `{name}` is switched off; to sync it, set \"{field}\": \"true\" in the configuration"
    ))
}

/// Checks the name of a column: TABLE.COLUMN.
fn column(name: &str, included: &[&'static Table]) -> Result<(), String> {
    let shown = name.escape_debug();
    let Some((of, column)) = name.split_once('.') else {
        return Err(format!(
            "column `{shown}` has no table; write it as TABLE.COLUMN"
        ));
    };
    let table = table(of, included)?;
    if table.position(column).is_some() {
        return Ok(());
    }
    let columns = table.columns.iter().map(|column| column.name);
    Err(match config::closest_name(column, columns) {
        Some(closest) => {
            format!("column `{shown}` is not known; the closest column is `{of}.{closest}`")
        }
        None => {
            format!(
                "column `{shown}` is not known; `fivetran_source tables {of}` lists the columns"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(tables: &[&str], columns: &[&str], but: &[&str]) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        let names = Names {
            tables: owned(tables),
            columns: owned(columns),
            but: owned(but),
        };
        wrong_names(&names, &config::default_tables())
    }

    #[test]
    fn each_wrong_name_is_reported_once() {
        assert_eq!(
            wrong(&["flows"], &["flow_runs.name"], &["flows.tags"]),
            [""; 0]
        );
        assert_eq!(
            wrong(
                &["flow_run", "logs"],
                &["logs.level", "flow_runs.nam", "name", "flow_runs.zzz"],
                &["flow_run.name"]
            ),
            [
                "table `flow_run` is not known; the closest table is `flow_runs`",
                "table `logs` is switched off; to sync it, set \"sync_logs\": \"true\" in the configuration",
                "column `flow_runs.nam` is not known; the closest column is `flow_runs.name`",
                "column `name` has no table; write it as TABLE.COLUMN",
                "column `flow_runs.zzz` is not known; `fivetran_source tables flow_runs` lists the columns",
            ]
        );
    }

    #[test]
    fn a_table_that_is_switched_on_may_be_selected() {
        let names = Names {
            tables: vec!["logs".to_owned()],
            ..Names::default()
        };
        let with = |value: &str| {
            let fields = [("api_url", "http://h/api"), ("sync_logs", value)];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
            check(&names, &BTreeMap::from(fields))
        };
        assert!(with("true").is_ok());
        let error = with("false").expect_err("off").to_string();
        assert!(error.contains("\"sync_logs\": \"true\""), "{error}");
    }
}
