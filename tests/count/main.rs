//! Reads and encodes pages under a counter of instructions: `scripts/count-instructions.sh`.
//!
//! `count TABLE STAGE ROUNDS` runs a stage on one page of 200 rows, ROUNDS times. Two runs that differ only in the
//! rounds show the cost of a row without the program's start. Without arguments, the program lists the tables and
//! stages.

use std::{
    env,
    hint::black_box,
    io::{self, Write as _},
    process::ExitCode,
};

use fivetran_source::{
    fivetran::MessageEncoder,
    rows::{Context, PageReader, fingerprint},
    sync::{Op, SelectedTable, Selection},
    tables::{self, Table},
};
use serde::{Deserialize as _, de::IgnoredAny};

/// The number of rows in a page: the connector's default page size.
const ROWS: usize = 200;

/// A narrow table, a wide one, and the one with the most rows.
const COUNTED: [&str; 3] = ["flows", "deployments", "flow_runs"];

/// The stages: scanning the text, which any reader must do, reading rows, encoding messages, and hashing rows.
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
        // The table, the stage or the number is unknown, or the sample is no longer a row.
        ExitCode::FAILURE
    }
}

/// Lists the tables and stages that can be counted.
fn list() -> io::Result<()> {
    for table in COUNTED.iter().filter_map(|name| tables::find(name)) {
        for stage in STAGES {
            writeln!(io::stdout(), "{} {stage}", table.name)?;
        }
    }
    Ok(())
}

/// Runs a stage; returns `None` if the stage is unknown or a page cannot be read.
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
            let mut encoder = MessageEncoder::new(&Selection {
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
