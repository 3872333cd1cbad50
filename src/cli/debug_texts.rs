//! The texts of `debug` before and after a sync.

use std::{
    fmt::{self, Write as _},
    fs,
    path::PathBuf,
};

use chrono::{DateTime, Utc};
use fivetran_runner::SyncOutcome;

/// The format of times.
const TIME: &str = "%Y-%m-%d %H:%M:%S UTC";

/// The source, the destination and the start of a sync.
pub(super) struct Beginning {
    pub(super) subject: String,
    pub(super) warehouse: PathBuf,
    pub(super) schema: String,
    /// The file of the start state; `None` for a sync that starts without one.
    pub(super) state: Option<PathBuf>,
    pub(super) now: DateTime<Utc>,
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from   {}", self.subject)?;
        let warehouse = self.warehouse.display();
        writeln!(f, "into   {warehouse}, schema {}", self.schema)?;
        writeln!(f, "since  {}", self.since())?;
        writeln!(f, "start  {}\n", self.now.format(TIME))
    }
}

impl Beginning {
    /// Describes the state from which the sync starts.
    fn since(&self) -> String {
        let beginning = || "the beginning: a historical sync".to_owned();
        let Some(file) = &self.state else {
            return beginning();
        };
        let Ok(about) = fs::metadata(file) else {
            return beginning();
        };
        match about.modified().map(DateTime::<Utc>::from) {
            // An empty state is `{}`.
            Ok(written) if about.len() > 2 => format!(
                "the checkpoint of {} ({})",
                written.format(TIME),
                file.display()
            ),
            _ => beginning(),
        }
    }
}

/// The commands that a user may want next.
pub(super) struct NextCommands(Vec<(&'static str, String)>);

/// Returns the next commands after a sync. `view` is one that a query can read, and `folder` the arguments for the
/// folder.
pub(super) fn next_commands(
    outcome: &SyncOutcome,
    view: Option<&str>,
    folder: &str,
) -> NextCommands {
    if outcome.tests.iter().any(|test| test.failure.is_some()) {
        let command = "fivetran_source init".to_owned();
        return NextCommands(vec![("Correct the configuration", command)]);
    }
    let command = |rest: String| format!("fivetran_source {rest}");
    if !outcome.succeeded() {
        let again = command(format!("debug{folder}"));
        return NextCommands(vec![("Continue where it stopped", again)]);
    }
    let first = outcome.tables.first().map(|table| table.table.as_str());
    let query = match (view, first) {
        (Some(view), _) => format!("select * from {view}"),
        (None, Some(table)) => format!("select * from {table} limit 3"),
        (None, None) => "show tables".to_owned(),
    };
    let commands = [
        ("Run a query", format!("query{folder} \"{query}\"")),
        ("List the views", format!("views{folder}")),
        ("Sync new changes", format!("debug{folder}")),
        ("Sync repeatedly", format!("debug{folder} --watch 5m")),
    ];
    NextCommands(commands.map(|(what, rest)| (what, command(rest))).into())
}

impl NextCommands {
    /// Returns a line for each command, or two if one is too wide for the terminal.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        let widest = self.0.iter().map(|(what, _)| what.len()).max();
        let label = widest.unwrap_or_default() + 1;
        let mut text = String::new();
        for (what, command) in &self.0 {
            let line = format!("{:<label$} {command}\n", format!("{what}:"));
            let fits = width.is_none_or(|width| line.chars().count() <= width);
            if fits {
                text += &line;
            } else {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{what}:\n  {command}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fivetran_runner::{TableOutcome, TestOutcome};

    fn text(outcome: &SyncOutcome, view: Option<&str>) -> String {
        next_commands(outcome, view, " --demo").text(Some(80))
    }

    #[test]
    fn commands_fit_the_terminal() {
        let outcome = SyncOutcome::default();
        assert_eq!(
            text(&outcome, Some("views.active_rows_by_month")),
            "\
Run a query:
  fivetran_source query --demo \"select * from views.active_rows_by_month\"
List the views:   fivetran_source views --demo
Sync new changes: fivetran_source debug --demo
Sync repeatedly:  fivetran_source debug --demo --watch 5m
"
        );
    }

    #[test]
    fn a_query_reads_what_exists() {
        let mut outcome = SyncOutcome::default();
        assert!(text(&outcome, None).contains("query --demo \"show tables\""));
        outcome.tables = vec![TableOutcome {
            table: "tester.flows".into(),
            operations: fivetran_runner::Operations::default(),
            unchanged: 0,
            rows: 1,
            deleted: 0,
        }];
        let shown = text(&outcome, None);
        assert!(
            shown.contains("select * from tester.flows limit 3"),
            "{shown}"
        );
    }

    #[test]
    fn a_failed_sync_has_one_next_command() {
        let mut outcome = SyncOutcome {
            failure: Some("no".into()),
            ..SyncOutcome::default()
        };
        assert_eq!(
            text(&outcome, None),
            "Continue where it stopped: fivetran_source debug --demo\n"
        );
        outcome.tests = vec![TestOutcome {
            label: "Connecting".into(),
            failure: Some("no".into()),
        }];
        assert_eq!(
            text(&outcome, None),
            "Correct the configuration: fivetran_source init\n"
        );
    }

    #[test]
    fn a_sync_begins_with_a_state_or_without() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.json");
        let mut beginning = Beginning {
            subject: "http://h/api".into(),
            warehouse: "files/warehouse.db".into(),
            schema: "tester".into(),
            state: Some(file.clone()),
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
        };
        let empty = "\
from   http://h/api
into   files/warehouse.db, schema tester
since  the beginning: a historical sync
start  2026-03-01 12:00:00 UTC

";
        assert_eq!(beginning.to_string(), empty);
        fs::write(&file, "{}").unwrap();
        assert_eq!(beginning.to_string(), empty);
        fs::write(&file, "{\"a\": 1}").unwrap();
        let shown = beginning.to_string();
        assert!(shown.contains("since  the checkpoint of 20"), "{shown}");
        beginning.state = None;
        assert_eq!(beginning.to_string(), empty);
    }
}
