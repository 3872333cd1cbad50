//! A real Prefect server for one test.
//!
//! No test is skipped: if a server cannot be installed or started, the test fails and shows the reason.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
};

use super::{in_checkout, workspace::Workspace};

/// Limits the servers to two at a time: each needs a few hundred megabytes and most of a core.
static SLOTS: Semaphore = Semaphore::const_new(2);

/// The time limit of a start. It is far longer than the slowest one seen and only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(1200);

/// The supported generations of Prefect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// 2.20.
    Two,
    /// 3.x.
    Three,
}

impl Generation {
    /// Returns the generation's number in `scripts/prefect-server.sh`.
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::Two => "2",
            Self::Three => "3",
        }
    }
}

/// The database of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// A database file.
    Sqlite,
    /// A private PostgreSQL cluster, which ends with the server.
    Postgres,
}

/// A running server. Dropping it ends the server, and so does any end of the test process, because the server watches
/// the pipe that is its standard input.
pub(crate) struct PrefectServer {
    child: Child,
    /// A pipe that closes when the server and all its processes have ended.
    output: Option<BufReader<ChildStdout>>,
    url: String,
    generation: Generation,
    database: Database,
    home: Arc<TempDir>,
    /// The permit of a running server; a restarted server takes it over.
    slot: Option<SemaphorePermit<'static>>,
}

impl PrefectServer {
    /// Installs the server if necessary, starts it, and waits until it answers.
    pub(crate) async fn start(generation: Generation) -> Self {
        Self::start_on(generation, Database::Sqlite).await
    }

    /// Starts the server on PostgreSQL.
    pub(crate) async fn start_on_postgres(generation: Generation) -> Self {
        Self::start_on(generation, Database::Postgres).await
    }

    async fn start_on(generation: Generation, database: Database) -> Self {
        let slot = SLOTS.acquire().await.unwrap();
        let home = Arc::new(TempDir::new().unwrap());
        let server = Self::run(generation, database, home, slot, &[]).await;
        count_for_the_summary(generation);
        server
    }

    /// Ends the server and starts it again with the same data and these settings.
    pub(crate) async fn restart(mut self, settings: &[(&str, &str)]) -> Self {
        self.end();
        let slot = self.slot.take().unwrap();
        let home = Arc::clone(&self.home);
        Self::run(self.generation, self.database, home, slot, settings).await
    }

    /// Ends the server and starts Prefect 3 with its data.
    pub(crate) async fn upgrade(mut self) -> Self {
        self.generation = Generation::Three;
        self.restart(&[]).await
    }

    async fn run(
        generation: Generation,
        database: Database,
        home: Arc<TempDir>,
        slot: SemaphorePermit<'static>,
        settings: &[(&str, &str)],
    ) -> Self {
        let log = home.path().join("server.log");
        let mut child = spawn(generation, database, home.path(), &log, settings);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        // Created here already, so that a panic below also stops the server.
        let mut server = Self {
            child,
            output: None,
            url: String::new(),
            generation,
            database,
            home,
            slot: Some(slot),
        };
        (server.url, server.output) = spawn_blocking(move || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            (line.trim().to_owned(), Some(output))
        })
        .await
        .unwrap();
        assert!(
            server.url.starts_with("http://127.0.0.1:"),
            "Prefect {generation:?} was not installed or not started:\n{}",
            server.log_tail()
        );
        server.wait_until_ready().await;
        server
    }

    /// Runs real flows against the server with Prefect's own client. Returns the created objects by table; see
    /// `tests/python/live_flows.py`.
    pub(crate) async fn run_flows(&self, mode: Option<&str>) -> serde_json::Value {
        let arguments: Vec<&str> = mode.into_iter().collect();
        let client = self.generation.number();
        self.run_script(client, "live_flows.py", &arguments).await
    }

    /// Runs a script of `tests/python` with the server's address and these arguments, in the environment of a client
    /// (see `scripts/prefect-server.sh`). Returns the JSON on the last line of its output.
    pub(crate) async fn run_script(
        &self,
        client: &'static str,
        script: &str,
        arguments: &[&str],
    ) -> serde_json::Value {
        let script = in_checkout("tests/python").join(script);
        let mut all = vec![self.url.clone()];
        all.extend(arguments.iter().map(|text| (*text).to_owned()));
        spawn_blocking(move || {
            let installed = Command::new(in_checkout("scripts/prefect-server.sh"))
                .args(["install", client])
                .output()
                .unwrap();
            let folder = String::from_utf8(installed.stdout).unwrap();
            let ran = Command::new(format!("{}/bin/python", folder.trim()))
                .arg(script)
                .args(all)
                .output()
                .unwrap();
            let text = String::from_utf8(ran.stdout).unwrap();
            let errors = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "the flows failed:\n{errors}");
            serde_json::from_str(text.trim().lines().last().unwrap()).unwrap()
        })
        .await
        .unwrap()
    }

    /// Waits until the server lists this number of events whose names begin with `prefix`: it writes events with a
    /// delay.
    pub(crate) async fn has_events(&self, prefix: &str, number: u64) {
        let number = number.to_string();
        let arguments = [prefix, &number];
        self.run_script(self.generation.number(), "settle.py", &arguments)
            .await;
    }

    /// Returns the API's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns a writer for the server's only workspace.
    pub(crate) fn workspace(&self) -> Workspace {
        Workspace::new(&self.url, self.generation)
    }

    /// Returns the path of the server's SQLite database.
    pub(crate) fn database(&self) -> PathBuf {
        assert_eq!(self.database, Database::Sqlite, "no file");
        self.home.path().join("prefect.db")
    }

    /// Returns true if the server's folder has such a file.
    pub(crate) fn holds(&self, path: &str) -> bool {
        self.home.path().join(path).exists()
    }

    /// Writes a value into the server's SQLite database, bypassing its API; returns the previous value.
    pub(crate) async fn put(&self, table: &str, column: &str, id: &str, value: &str) -> String {
        let mut command = Command::new("python3");
        command
            .arg(in_checkout("tests/python/put_value.py"))
            .arg(self.database())
            .args([table, column, id, value]);
        let output = spawn_blocking(move || command.output().unwrap()).await;
        let output = output.unwrap();
        assert!(output.status.success(), "the value was not put: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Moves a run, with all its times, into the past by this number of seconds. The API itself dates each run with the
    /// present.
    pub(crate) async fn backdate(&self, run: &str, seconds: i64) {
        let mut command = Command::new("python3");
        command
            .arg(in_checkout("tests/python/backdate.py"))
            .arg(self.database())
            .args([run, &seconds.to_string()]);
        let status = spawn_blocking(move || command.status().unwrap()).await;
        assert!(status.unwrap().success(), "the run was not moved");
    }

    /// Sends one request, which is enough because the port is bound before the server is ready. The request waits in
    /// the socket's queue until the server takes it, and fails if the server dies.
    async fn wait_until_ready(&self) {
        let workspace = self.workspace();
        let answer = tokio::time::timeout(PATIENCE, workspace.get("/ready")).await;
        assert!(
            matches!(answer, Ok(Ok(_))),
            "Prefect {:?} does not get ready ({answer:?}):\n{}",
            self.generation,
            self.log_tail()
        );
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // PostgreSQL ends a moment later; only then the folder can be deleted.
        if let Some(mut output) = self.output.take() {
            let _ = io::copy(&mut output, &mut io::sink());
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.home.path().join("server.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for PrefectServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(
    generation: Generation,
    database: Database,
    home: &Path,
    log: &Path,
    settings: &[(&str, &str)],
) -> Child {
    Command::new(in_checkout("scripts/prefect-server.sh"))
        .args(["run", generation.number(), "0"])
        .arg(home)
        .env("UNTIL_EOF", "1")
        .env(
            "DATABASE",
            match database {
                Database::Sqlite => "sqlite",
                Database::Postgres => "postgres",
            },
        )
        .envs(settings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(log).unwrap())
        .spawn()
        .unwrap()
}

/// Counts the servers that really ran, for the summary of `make test`. Without it, tests that silently stopped using
/// real servers would still pass.
fn count_for_the_summary(generation: Generation) {
    use std::io::Write as _;
    if let Some(tally) = std::env::var_os("REAL_SERVER_TALLY") {
        let mut file = File::options().append(true).create(true).open(tally);
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        writeln!(file.as_mut().unwrap(), "{generation:?} {test}").unwrap();
    }
}
