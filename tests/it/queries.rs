//! Every query of `docs/queries` and every view of `docs/migrating`, run on a warehouse that a sync has filled.

mod known;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
};

use fivetran_runner::duckdb::Connection;
use fivetran_source::tables;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{in_checkout, warehouse};

/// The folders of the SQL files, and the schemas in which their views are created.
const FOLDERS: [(&str, &str); 2] = [
    ("docs/queries", "views"),
    ("docs/migrating", "python_connector"),
];

/// The queries of the log of syncs. The local run has them in place of those of the same name in `docs/queries`.
const LOCAL: (&str, &str) = ("docs/queries/local", "views");

/// Queries that read every table except the optional ones.
const OVER_ALL: [&str; 3] = [
    "views.table_freshness",
    "views.rows_by_sync",
    "views.active_rows_by_month",
];

/// One SQL file.
#[derive(Debug)]
pub(crate) struct Query {
    /// The name of the view with the same SQL.
    pub(crate) view: String,
    pub(crate) sql: String,
}

/// The results of all files on a warehouse.
#[derive(Debug, Default)]
pub(crate) struct QueryResults {
    /// The number of rows, by view.
    pub(crate) rows: BTreeMap<String, usize>,
    /// The missing tables, by view.
    pub(crate) left_out: BTreeMap<String, Vec<String>>,
}

/// Rows of text values, each keyed by column.
pub(crate) type Rows = Vec<BTreeMap<String, Option<String>>>;

impl Query {
    /// Returns the files for any warehouse, ordered by the names of their views.
    pub(crate) fn all() -> Vec<Self> {
        Self::in_folders(&FOLDERS)
    }

    /// Returns the files whose views the local run creates, ordered by their names.
    fn views() -> Vec<Self> {
        let mut views = Self::all();
        for local in Self::in_folders(&[LOCAL]) {
            let same = views.iter().position(|query| query.view == local.view);
            views[same.expect("a query for other warehouses")] = local;
        }
        views
    }

    fn in_folders(folders: &[(&str, &str)]) -> Vec<Self> {
        let mut all = Vec::new();
        for (folder, schema) in folders {
            for entry in fs::read_dir(in_checkout(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "sql") {
                    let name = path.file_stem().unwrap().to_str().unwrap();
                    all.push(Self {
                        view: format!("{schema}.{name}"),
                        sql: fs::read_to_string(&path).unwrap(),
                    });
                }
            }
        }
        all.sort_by(|a, b| a.view.cmp(&b.view));
        all
    }

    pub(crate) fn find(view: &str) -> Self {
        let mut all = Self::all().into_iter();
        all.find(|query| query.view == view)
            .unwrap_or_else(|| panic!("there is no file for {view}"))
    }

    /// Returns the header line with this name, if there is one.
    fn header(&self, name: &str) -> Option<&str> {
        let start = format!("-- {name}: ");
        self.sql.lines().find_map(|line| line.strip_prefix(&start))
    }

    fn list(&self, name: &str) -> Vec<String> {
        let list = self.header(name).unwrap_or_default().split(", ");
        list.filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Returns the SQL without its header.
    fn code(&self) -> String {
        let code = self.sql.lines().filter(|line| !line.starts_with("--"));
        code.collect::<Vec<_>>().join("\n")
    }

    /// Returns the tables that the SQL names.
    fn tables(&self) -> BTreeSet<String> {
        let code = self.code();
        let names = code.split("tester.").skip(1).map(|rest| {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        });
        names.collect()
    }

    /// Runs the query, and checks its columns against the header.
    pub(crate) fn run(&self, connection: &Connection) -> Rows {
        self.check(&ask(connection, &self.sql, &self.view))
    }

    fn check(&self, (columns, rows): &(Vec<String>, Vec<Vec<Option<String>>>)) -> Rows {
        assert_eq!(*columns, self.list("columns"), "columns of {}", self.view);
        let named = |row: &Vec<Option<String>>| columns.iter().cloned().zip(row.clone()).collect();
        rows.iter().map(named).collect()
    }
}

/// Runs every file whose tables the warehouse has, and checks its columns.
pub(crate) fn run_all(path: &Path) -> QueryResults {
    let connection = warehouse::open(path);
    let mut results = QueryResults::default();
    let (_, have) = ask(
        &connection,
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'tester'",
        "the tables",
    );
    let have: BTreeSet<String> = have.into_iter().flatten().flatten().collect();
    for query in Query::all() {
        let missing: Vec<_> = query.tables().difference(&have).cloned().collect();
        if missing.is_empty() {
            let rows = query.run(&connection).len();
            results.rows.insert(query.view, rows);
        } else {
            results.left_out.insert(query.view, missing);
        }
    }
    results
}

/// Returns the optional tables, or all others.
fn names(chosen: bool) -> BTreeSet<String> {
    let all = tables::ALL.iter();
    all.filter(|table| table.choice.is_some() == chosen)
        .map(|table| table.name.to_owned())
        .collect()
}

fn ask(connection: &Connection, sql: &str, what: &str) -> (Vec<String>, Vec<Vec<Option<String>>>) {
    connection.execute_batch("SET TimeZone = 'UTC'").unwrap();
    let sql = format!("SELECT COLUMNS(*)::VARCHAR FROM (\n{sql}\n)");
    let mut statement = connection
        .prepare(&sql)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut rows = statement
        .query([])
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let columns = rows.as_ref().unwrap().column_names();
    let mut answer = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells = (0..columns.len()).map(|column| row.get(column).unwrap());
        answer.push(cells.collect());
    }
    (columns, answer)
}

/// Runs the executable in a folder and returns its output.
fn executable(arguments: &[&str], dir: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_fivetran_source"))
        .args(arguments)
        .arg("--dir")
        .arg(dir)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{text}\n{errors}",
        output.status
    );
    assert_eq!(errors, "", "{arguments:?}");
    text
}

/// Checks that every view exists and has the columns and the number of rows of its file.
fn check_views(path: &Path) {
    let connection = warehouse::open(path);
    let (_, views) = ask(
        &connection,
        "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal",
        "the views",
    );
    let views: BTreeSet<String> = views.into_iter().flatten().flatten().collect();
    let files: BTreeSet<_> = Query::all().into_iter().map(|query| query.view).collect();
    assert_eq!(views, files, "a view for each file, and no other");
    for query in Query::views() {
        let sql = format!("SELECT * FROM {}", query.view);
        let rows = query.check(&ask(&connection, &sql, &query.view));
        assert_eq!(rows.len(), query.run(&connection).len(), "{}", query.view);
    }
}

#[test]
fn every_query_file_has_a_complete_header() {
    let all = Query::all();
    assert!(all.len() > 20, "the files are where they were");
    let documented = fs::read_to_string(in_checkout("docs/queries/README.md")).unwrap();
    for query in &all {
        let view = &query.view;
        for name in ["question", "columns", "deleted", "needs"] {
            assert!(query.header(name).is_some(), "{view} has no {name}");
        }
        let needs: BTreeSet<_> = query.list("needs").into_iter().collect();
        assert_eq!(needs, query.tables(), "{view} needs what it reads");
        let chosen = names(true);
        assert!(
            needs
                .iter()
                .all(|table| chosen.contains(table) || names(false).contains(table))
        );
        let optional: BTreeSet<_> = query.list("optional").into_iter().collect();
        assert_eq!(
            optional,
            needs.intersection(&chosen).cloned().collect(),
            "{view} says which tables must be chosen"
        );
        if OVER_ALL.contains(&view.as_str()) {
            assert_eq!(needs, names(false), "{view} is about all tables");
        }
        if view == "views.optional_rows" {
            assert_eq!(needs, chosen, "{view} is about all others");
        }
        assert!(!query.code().contains(';'), "{view} is one statement");
        if let Some(name) = view.strip_prefix("views.") {
            let heading = format!("## {name}\n");
            assert!(
                documented.contains(&heading),
                "docs/queries/README.md lacks {name}: run scripts/query-results.sh"
            );
        }
    }
}

#[test]
fn every_query_of_the_log_has_a_complete_header() {
    for query in Query::in_folders(&[LOCAL]) {
        for name in ["question", "columns", "deleted"] {
            assert!(query.header(name).is_some(), "{} has no {name}", query.view);
        }
        assert!(query.tables().is_empty(), "{} reads a table", query.view);
        assert!(
            query.code().contains("_local_run.sync_log"),
            "{}",
            query.view
        );
    }
}

/// Returns the counts that the reports have, and those of the view, each as `sync table rows upserts …`.
fn counts_of_syncs(reports: &[Value], connection: &Connection) -> [BTreeSet<String>; 2] {
    let mut reported = BTreeSet::new();
    for (sync, report) in (1..).zip(reports) {
        for table in report["tables"].as_array().unwrap() {
            let count = |name: &str| table[name].as_u64().unwrap();
            let sent = count("upserts") + count("updates") + count("deletes");
            if sent > 0 {
                let counts = ["upserts", "unchanged", "updates", "deletes"].map(count);
                reported.insert(format!("{sync} {} {sent} {counts:?}", table["table"]));
            }
        }
    }
    let sql = "SELECT format('{} \"{}.{}\" {} [{}, {}, {}, {}]', sync, schema_name, table_name, \
         rows_sent, upserts, unchanged, updates, deletes) FROM views.rows_by_sync \
         WHERE outcome = 'succeeded' AND began IS NOT NULL";
    let (_, rows) = ask(connection, sql, "rows_by_sync");
    [reported, rows.into_iter().flatten().flatten().collect()]
}

#[test]
fn rows_by_sync_has_the_counts_of_the_reports() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("warehouse.db");
    let sync = |more: &[&str]| -> Value {
        let arguments = [&["debug", "--demo", "--json"], more].concat();
        serde_json::from_str(&executable(&arguments, folder.path())).unwrap()
    };
    let mut reports = vec![sync(&[])];
    let earlier = folder.path().join("earlier.json");
    fs::copy(folder.path().join("state.json"), &earlier).unwrap();
    reports.push(sync(&[]));
    // From an earlier state, rows are sent again that the warehouse has.
    reports.push(sync(&["--state", earlier.to_str().unwrap()]));
    // A historical sync truncates its table.
    reports.push(sync(&["--full-refresh", "--table", "flows"]));
    let connection = warehouse::open(&file);
    let [reported, viewed] = counts_of_syncs(&reports, &connection);
    assert_eq!(viewed, reported);
    assert!(viewed.iter().any(|counts| counts.starts_with("4 ")));
    let again = reports[2]["tables"].as_array().unwrap().iter();
    assert!(again.into_iter().any(|table| table["unchanged"] != 0));
    drop(connection);

    // A killed sync has only sums.
    let kill = Connection::open(&file).unwrap();
    kill.execute_batch(
        "UPDATE _local_run.sync_log SET tables = NULL, outcome = 'killed' WHERE sync = 2",
    )
    .unwrap();
    drop(kill);
    let connection = warehouse::open(&file);
    let sums = "SELECT table_name IS NULL, rows_sent = l.upserts + l.updates + l.deletes \
         FROM views.rows_by_sync JOIN _local_run.sync_log AS l USING (sync) WHERE sync = 2";
    let (_, rows) = ask(&connection, sums, "rows_by_sync");
    assert_eq!(rows, [[Some("true".to_owned()), Some("true".to_owned())]]);
}

#[test]
fn every_query_and_view_answers_on_the_demo_workspace() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("warehouse.db");
    executable(&["debug", "--demo"], folder.path());
    let answers = run_all(&file);
    assert_eq!(answers.left_out, BTreeMap::new());
    for (view, rows) in &answers.rows {
        assert!(*rows > 0, "{view} is empty");
    }
    check_views(&file);

    // The tables change under the views: the next sync restores a dropped column and widens another.
    let alter = Connection::open(&file).unwrap();
    alter
        .execute_batch(
            "ALTER TABLE tester.flow_runs DROP COLUMN idempotency_key;
             ALTER TABLE tester.flow_runs ALTER COLUMN run_count TYPE INTEGER;
             DROP VIEW views.failed_tasks;
             CREATE VIEW views.mine AS SELECT 1 AS one",
        )
        .unwrap();
    drop(alter);
    executable(&["debug", "--demo"], folder.path());
    let drop_mine = Connection::open(&file).unwrap();
    drop_mine.execute_batch("DROP VIEW views.mine").unwrap();
    drop(drop_mine);
    check_views(&file);
}

#[test]
fn views_without_their_tables_are_left_out() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("warehouse.db");
    executable(&["debug", "--demo"], folder.path());
    let connection = Connection::open(&file).unwrap();
    for table in names(true) {
        let drop = format!("DROP TABLE tester.{table}");
        connection.execute_batch(&drop).unwrap();
    }
    drop(connection);
    let without: Vec<_> = Query::all()
        .into_iter()
        .filter(|query| query.header("optional").is_some())
        .map(|query| query.view)
        .collect();
    let answers = run_all(&file);
    assert!(answers.left_out.keys().eq(without.iter()));
    assert!(answers.rows.values().all(|rows| *rows > 0));

    let reported = executable(&["views"], folder.path());
    assert_eq!(reported.lines().count(), Query::all().len());
    for query in Query::all() {
        let start = format!("{} ", query.view);
        let line = reported
            .lines()
            .find(|line| line.starts_with(&start))
            .unwrap();
        let left_out = line.contains(" skipped: Catalog Error: Table with name ");
        assert_eq!(left_out, without.contains(&query.view), "{line}");
    }
    let connection = warehouse::open(&file);
    let sql = "SELECT view_name FROM duckdb_views() WHERE NOT internal";
    let (_, views) = ask(&connection, sql, "the views");
    assert_eq!(views.len(), Query::all().len() - without.len());
}
