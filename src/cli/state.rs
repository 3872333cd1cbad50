//! `state`: shows saved states, and changes them between two syncs.
//!
//! The command uses only files: those of the local run, and states that were copied from elsewhere.

mod describe;
mod files;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};

use self::files::{read, version_of};
use super::process::for_people;
use crate::{
    clock::{Clock as _, SystemClock},
    sync::State,
};

/// The state file of the local run.
const FILE: &str = "files/state.json";

/// Commands for saved states.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows how far each table has been read.
    Show {
        /// The state file.
        #[arg(default_value = FILE)]
        file: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows the differences between two states.
    Diff {
        /// The file of the earlier state.
        before: PathBuf,
        /// The file of the later state.
        after: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Converts a state of an earlier version to this version. (A sync does this automatically.)
    Upgrade {
        /// The state file.
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Makes the next sync read a table again: the changes since a time, or everything.
    Rewind(Rewind),
}

/// The destination of a new state. Without either option the state is printed.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Target {
    /// Replaces the old state, and keeps a copy of it in the same folder (`.bak`).
    #[arg(long)]
    in_place: bool,
    /// Writes the new state to this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `rewind`.
#[derive(Debug, Args)]
pub(super) struct Rewind {
    /// The table.
    #[arg(long)]
    table: String,
    /// The date (UTC) or time to go back to, such as `2026-01-01` or `2026-01-01T12:00:00Z`.
    #[arg(long, value_parser = instant, required_unless_present = "all")]
    to: Option<DateTime<Utc>>,
    /// Reads everything again.
    #[arg(long, conflicts_with = "to")]
    all: bool,
    /// The state file.
    #[arg(default_value = FILE)]
    file: PathBuf,
    #[command(flatten)]
    target: Target,
}

/// Runs a command. An error is printed as one line on stderr.
pub(super) fn run(command: &Command) -> ExitCode {
    match try_run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = for_people(&format!("error: {error:#}"));
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(command: &Command) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match command {
        Command::Show { file, json } => {
            let state = parse(file)?;
            if *json {
                serde_json::to_writer_pretty(&mut out, &state.describe())?;
                writeln!(out)?;
            } else {
                write!(out, "{}", for_people(&describe::show(&state.describe())))?;
            }
        }
        Command::Diff {
            before,
            after,
            json,
        } => {
            let (before, after) = (parse(before)?, parse(after)?);
            let differences = before.differences(&after);
            if *json {
                serde_json::to_writer_pretty(&mut out, &differences)?;
                writeln!(out)?;
            } else {
                write!(out, "{}", for_people(&describe::diff(&differences)))?;
            }
        }
        Command::Upgrade { file, target } => {
            let was = version_of(&read(file)?);
            let state = parse(file)?;
            let is = state.describe().version;
            target.put(file, &state)?;
            writeln!(io::stderr(), "{}", describe::upgraded(was, is))?;
        }
        Command::Rewind(arguments) => {
            let mut state = parse(&arguments.file)?;
            let now = SystemClock.now();
            let rewound = state.rewind_table(&arguments.table, arguments.to, now)?;
            arguments.target.put(&arguments.file, &state)?;
            let text = describe::rewound(&arguments.table, arguments.to, &rewound);
            writeln!(io::stderr(), "{}", for_people(&text))?;
        }
    }
    Ok(())
}

fn parse(file: &std::path::Path) -> anyhow::Result<State> {
    let text = read(file)?;
    State::parse(Some(&text), "").with_context(|| file.display().to_string())
}

impl Target {
    fn put(&self, old: &std::path::Path, state: &State) -> anyhow::Result<()> {
        let json = state.to_json()?;
        if let Some(out) = &self.out {
            if out.exists() {
                bail!(
                    "{} already exists: choose another name, or use --in-place",
                    out.display()
                );
            }
            files::write(out, &json)
        } else if self.in_place {
            let kept = files::keep(old)?;
            files::write(old, &json)?;
            writeln!(io::stderr(), "the previous state is in {}", kept.display())?;
            Ok(())
        } else {
            writeln!(io::stdout(), "{json}")?;
            Ok(())
        }
    }
}

/// Parses a date, or a time with its offset, that the user typed.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.with_timezone(&Utc));
    }
    match text.parse::<NaiveDate>() {
        Ok(date) => Ok(date.and_time(NaiveTime::MIN).and_utc()),
        Err(_) => Err("write it as 2026-01-31 or 2026-01-31T12:00:00Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_understood() {
        for (text, seconds) in [
            ("1970-01-02", 86_400),
            ("1970-01-01T00:00:05Z", 5),
            ("1970-01-01T01:00:00+01:00", 0),
        ] {
            assert_eq!(instant(text).map(|time| time.timestamp()), Ok(seconds));
        }
        for text in ["", "yesterday", "2026-13-01", "2026-01-01T12:00"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_old_state_stays_beside_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.json");
        let text = include_str!("../../tests/fixtures/state_v1.json");
        std::fs::write(&file, text).unwrap();
        let state = parse(&file).unwrap();
        let in_place = Target {
            in_place: true,
            out: None,
        };
        in_place.put(&file, &state).unwrap();
        in_place.put(&file, &state).unwrap();
        let at = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(at("state.json.bak"), text);
        assert_eq!(at("state.json.bak2"), at("state.json"));
        assert_eq!(version_of(&at("state.json")), Some(2));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        let out = Target {
            in_place: false,
            out: Some(file.clone()),
        };
        let text = out.put(&file, &state).unwrap_err().to_string();
        assert!(text.contains("already exists"), "{text}");
    }
}
