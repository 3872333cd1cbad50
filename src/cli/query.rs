//! `query`: runs an SQL query on the local run's warehouse.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use fivetran_runner::QueryFormat;

use super::folder::Folder;

/// The name of a file that means standard input.
const STANDARD_INPUT: &str = "-";

/// Arguments of `query`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each field is a separate flag"
)]
pub(super) struct Arguments {
    /// The query, such as `select count(*) from flow_runs`. Without it and without --file, standard input is read.
    #[arg(conflicts_with = "file")]
    sql: Option<String>,
    /// Reads the query from this file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Prints comma-separated values with a header.
    #[arg(long, conflicts_with_all = ["json", "vertical"])]
    csv: bool,
    /// Prints each row as a JSON object on a line.
    #[arg(long, conflicts_with = "vertical")]
    json: bool,
    /// Prints each value on a line, for wide rows.
    #[arg(long)]
    vertical: bool,
    /// Prints all rows instead of the first 1,000, which are the limit for people to read.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    folder: Folder,
}

/// Runs the query and prints its result.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let warehouse = arguments
        .folder
        .path()
        .join(fivetran_runner::WAREHOUSE_FILE);
    let sql = arguments.sql()?;
    let text = fivetran_runner::query(&warehouse, &sql, arguments.format(), arguments.all)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn sql(&self) -> anyhow::Result<String> {
        match (&self.sql, &self.file) {
            (Some(sql), _) => Ok(sql.clone()),
            (None, Some(file)) if file != Path::new(STANDARD_INPUT) => {
                fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
            }
            (None, None) if io::stdin().is_terminal() => {
                bail!("give a query as an argument, in a file (--file), or on standard input")
            }
            (None, _) => {
                let mut sql = String::new();
                let read = io::stdin().read_to_string(&mut sql);
                read.context("cannot read standard input")?;
                Ok(sql)
            }
        }
    }

    fn format(&self) -> QueryFormat {
        if self.csv {
            QueryFormat::Csv
        } else if self.json {
            QueryFormat::Json
        } else if self.vertical {
            QueryFormat::Vertical
        } else {
            QueryFormat::Table
        }
    }
}
