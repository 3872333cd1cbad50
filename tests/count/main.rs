//! Reads and encodes pages, for a counter of instructions: `scripts/count-instructions.sh`.
//!
//! `count TABLE STAGE ROUNDS` does a stage for one page of 200 rows, ROUNDS times. Two runs that differ in
//! nothing but the rounds tell what a row costs, without the program's start. Without arguments: what there is.

use std::{
    env,
    hint::black_box,
    io::{self, Write as _},
    process::ExitCode,
};

use fivetran_source::{
    fivetran::Encoder,
    rows::{Context, PageReader, fingerprint},
    sync::{Op, SelectedTable, Selection},
    tables::{self, Table},
};
use serde::{Deserialize as _, de::IgnoredAny};

/// Rows of a page: what the connector asks for unless it is told otherwise.
const ROWS: usize = 200;

/// A narrow table, a wide one, and the one with most rows.
const COUNTED: [&str; 3] = ["flows", "deployments", "flow_runs"];

/// What is done for a page: what any reader of its text pays, rows, messages, and hashes of rows.
const STAGES: [&str; 4] = ["scan", "read", "encode", "fingerprint"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [table, stage, rounds] => match (tables::find(table), rounds.parse()) {
            (Some(table), Ok(rounds)) => count(table, stage, rounds).is_some(),
            _ => false,
        },
        _ => list().is_ok(),
    };
    if done {
        ExitCode::SUCCESS
    } else {
        // No such table, stage or number, or the sample is no row any more.
        ExitCode::FAILURE
    }
}

/// What there is to count.
fn list() -> io::Result<()> {
    for table in COUNTED.iter().filter_map(|name| tables::find(name)) {
        for stage in STAGES {
            writeln!(io::stdout(), "{} {stage}", table.name)?;
        }
    }
    Ok(())
}

/// `None` when there is no such stage, or a page is not read.
fn count(table: &'static Table, stage: &str, rounds: usize) -> Option<()> {
    let page = format!("[{}]", vec![*table.samples.first()?; ROWS].join(","));
    let reader = PageReader::new(table, &Context::default());
    match stage {
        "scan" => {
            for _ in 0..rounds {
                let mut json = serde_json::Deserializer::from_str(&page);
                black_box(IgnoredAny::deserialize(&mut json).ok()?);
            }
        }
        "read" => {
            for _ in 0..rounds {
                black_box(reader.read(page.clone()).ok()?);
            }
        }
        "encode" => {
            let mut encoder = Encoder::new(&Selection {
                tables: vec![SelectedTable::all(table)],
            });
            for _ in 0..rounds {
                let rows = reader.read(page.clone()).ok()?.rows.into_iter();
                let table = table.name;
                let ops = rows.map(|row| Op::Upsert { table, row }).collect();
                black_box(encoder.messages(ops));
            }
        }
        "fingerprint" => {
            let rows = reader.read(page.clone()).ok()?.rows;
            for _ in 0..rounds {
                for row in &rows {
                    black_box(fingerprint(row));
                }
            }
        }
        _ => return None,
    }
    Some(())
}
