//! A connector in a process of its own, which is started, watched, and ended together with its child processes.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin, Command},
    task::JoinHandle,
};

use super::reserved_port::ReservedPort;
use crate::clock::Clock;
use fivetran_runner::{ConnectorExit, Redactor};

/// The placeholder for the port in a command.
const PORT: &str = "{port}";
/// The time limit for a connector to begin to listen.
pub(super) const START: Duration = Duration::from_secs(60);
/// The interval of the checks that the connector listens.
const LOOK: Duration = Duration::from_millis(50);
/// The number of ports that are tried when other processes take them first.
const PORT_ATTEMPTS: u32 = 3;
/// The time limit for a connector to end: a little longer than the watcher waits before it kills.
const END: Duration = Duration::from_secs(12);
/// The time within which the process of a connector whose connections were closed must exit to be reported as exited.
const EXIT: Duration = Duration::from_secs(2);
/// The time that the output of an ended connector may stay open, held by child processes that are still running.
const OUTPUT: Duration = Duration::from_secs(2);
/// The maximum number of stdout lines that are kept. Further lines are only logged.
const LINES: usize = 100_000;
/// The number of last lines that are quoted if the connector ends too early.
const LAST_LINES: usize = 10;

/// A shell script that ends a process group when the script's stdin is closed. This also happens if this process is
/// killed. The script kills a group that has not ended after ten seconds.
const WATCHER: &str = r#"
while read -r _; do :; done
kill -s TERM -- "-$0" 2>/dev/null || exit 0
n=0
while [ $n -lt 100 ] && kill -s 0 -- "-$0" 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
kill -s KILL -- "-$0" 2>/dev/null
"#;

/// The reason why a connector did not start.
#[derive(Debug, thiserror::Error)]
#[error("{reason}; the last lines of its output:\n  {}", last_lines.join("\n  "))]
pub(super) struct StartError {
    pub(super) reason: String,
    /// The last lines of its output, without secrets.
    pub(super) last_lines: Vec<String>,
}

/// The output of the connector.
pub(super) struct Output {
    redactor: Redactor,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    stdout: Vec<String>,
    last: VecDeque<String>,
}

impl Output {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            lines: Mutex::default(),
        }
    }

    /// Returns the complete lines of stdout.
    pub(super) fn stdout(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.stdout.clone()
    }

    /// Returns the last lines of stdout and stderr, without secrets.
    fn last(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let last = lines.last.iter();
        last.map(|line| self.redactor.clean(line).into_owned())
            .collect()
    }

    /// Returns true if one of the last lines is Rust's, Python's or Node's message that the port is in use.
    fn says_in_use(&self) -> bool {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let says = |line: &String| {
            let line = line.to_ascii_lowercase();
            line.contains("eaddrinuse") || line.contains("address already in use")
        };
        lines.last.iter().any(says)
    }

    /// Stores and logs a line. The unfinished line of a killed process is not a log line, and must not be judged.
    fn add_line(&self, line: String, is_log: bool) {
        log_line(&self.redactor.clean(&line));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.last.len() == LAST_LINES {
            lines.last.pop_front();
        }
        if is_log && lines.stdout.len() < LINES {
            lines.stdout.push(line.clone());
        }
        lines.last.push_back(line);
    }
}

/// Logs a line of the connector at the line's own level.
fn log_line(line: &str) {
    let parsed = serde_json::from_str::<Value>(line).ok();
    let word = |name: &str| parsed.as_ref().and_then(|line| line[name].as_str());
    let text = word("message").unwrap_or(line);
    match word("level") {
        Some("SEVERE" | "ERROR" | "CRITICAL") => tracing::error!(target: "connector", "{text}"),
        Some("WARNING") => tracing::warn!(target: "connector", "{text}"),
        _ => tracing::info!(target: "connector", "{text}"),
    }
}

/// A running connector, which ends when this value is dropped.
pub(super) struct ConnectorProcess {
    /// The address at which the connector listens.
    pub(super) endpoint: String,
    child: Child,
    /// The stdin of the watcher. Closing it ends the connector.
    watch: Option<ChildStdin>,
    _watcher: Option<Child>,
    readers: [JoinHandle<()>; 2],
}

impl ConnectorProcess {
    /// Starts the command on a free port, and waits until a process listens there. If another process takes the port
    /// before the connector does, such as for an outgoing connection, another port is tried.
    pub(super) async fn start(
        command: &str,
        output: &Arc<Output>,
        clock: &dyn Clock,
    ) -> anyhow::Result<Self> {
        let mut attempt = 1;
        loop {
            // A connector that cannot share the reservation gets a port without one.
            let port = if attempt == 1 {
                ReservedPort::new()?
            } else {
                ReservedPort::unreserved()?
            };
            let number = port.number;
            match Self::start_on(number, command, output, clock).await {
                Err(_) if attempt < PORT_ATTEMPTS && (output.says_in_use() || !port.is_free()) => {
                    tracing::warn!("port {number} is in use: trying another port");
                    attempt += 1;
                }
                started => return started,
            }
        }
    }

    async fn start_on(
        port: u16,
        command: &str,
        output: &Arc<Output>,
        clock: &dyn Clock,
    ) -> anyhow::Result<Self> {
        let mut words = split(command, port)?.into_iter();
        let program = words.next().context("--spawn has no program")?;
        let mut start = Command::new(&program);
        start
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // By default Python buffers its lines until it ends, and loses them if it is killed.
            .env("PYTHONUNBUFFERED", "1")
            .kill_on_drop(true);
        #[cfg(unix)]
        start.process_group(0);
        let mut child = start
            .spawn()
            .with_context(|| format!("cannot start `{program}`"))?;
        let readers = [
            read(child.stdout.take(), output, true),
            read(child.stderr.take(), output, false),
        ];
        let (watch, watcher) = watch(&child)?;
        let mut running = Self {
            endpoint: String::new(),
            child,
            watch,
            _watcher: watcher,
            readers,
        };
        running.endpoint = running.listens(port, output, clock).await?;
        Ok(running)
    }

    /// Waits until the connector listens, and returns the address.
    async fn listens(
        &mut self,
        port: u16,
        output: &Output,
        clock: &dyn Clock,
    ) -> anyhow::Result<String> {
        let limit = clock.now() + START;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.read_rest(clock).await;
                return Err(StartError {
                    reason: format!(
                        "the connector exited before it listened on port {port} ({status})"
                    ),
                    last_lines: output.last(),
                }
                .into());
            }
            let addresses = [
                SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
            ];
            for address in addresses {
                if let Ok(connection) = TcpStream::connect(address).await
                    && stays_open(connection, clock).await
                {
                    return Ok(format!("http://{address}"));
                }
            }
            if clock.now() > limit {
                return Err(StartError {
                    reason: format!(
                        "the connector is not listening on port {port} after {} s; does the command use {PORT}?",
                        START.as_secs(),
                    ),
                    last_lines: output.last(),
                }
                .into());
            }
            clock.sleep(LOOK).await;
        }
    }

    /// Asks the connector to end, and kills it if it does not.
    pub(super) async fn end(mut self, clock: &dyn Clock) {
        drop(self.watch.take());
        tokio::select! {
            _ = self.child.wait() => {}
            () = clock.sleep(END) => {
                let _ = self.child.kill().await;
            }
        }
        self.read_rest(clock).await;
    }

    /// Waits a moment for the process to exit after its connections were closed. Returns its status and its last lines.
    pub(super) async fn exit(
        &mut self,
        output: &Output,
        clock: &dyn Clock,
    ) -> Option<ConnectorExit> {
        let status = tokio::select! {
            status = self.child.wait() => status.ok()?,
            () = clock.sleep(EXIT) => return None,
        };
        self.read_rest(clock).await;
        Some(ConnectorExit {
            status: status.to_string(),
            last_lines: output.last(),
        })
    }

    /// Reads the rest of an ended connector's output. Child processes that are still running may hold it open.
    async fn read_rest(&mut self, clock: &dyn Clock) {
        let deadline = clock.sleep(OUTPUT);
        let [stdout, stderr] = &mut self.readers;
        let both = async {
            // A reader that has been awaited must not be awaited a second time.
            for reader in [stdout, stderr] {
                if !reader.is_finished() {
                    let _ = reader.await;
                }
            }
        };
        tokio::select! {
            () = both => {}
            () = deadline => {}
        }
        for reader in &self.readers {
            reader.abort();
        }
    }

    /// Kills the connector, as may happen to a container.
    pub(super) async fn kill(mut self) {
        let _ = self.child.kill().await;
    }
}

/// Returns true if the connection is not closed at once, as by the published port of a container that is still starting.
async fn stays_open(mut connection: TcpStream, clock: &dyn Clock) -> bool {
    tokio::select! {
        read = connection.read_u8() => read.is_ok(),
        () = clock.sleep(LOOK) => true,
    }
}

/// Returns the words of a command, with the port in place of the placeholder.
fn split(command: &str, port: u16) -> anyhow::Result<Vec<String>> {
    if !command.contains(PORT) {
        bail!(
            "--spawn needs {PORT} in the place of the connector's port, such as \"./connector --port {PORT}\""
        );
    }
    let words = shell_words::split(command).context("--spawn has an unclosed quote")?;
    let port = port.to_string();
    Ok(words.iter().map(|word| word.replace(PORT, &port)).collect())
}

fn read(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    output: &Arc<Output>,
    is_log: bool,
) -> JoinHandle<()> {
    let output = Arc::clone(output);
    tokio::spawn(async move {
        let Some(stream) = stream else {
            return;
        };
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
            let is_whole = line.last() == Some(&b'\n');
            let text = String::from_utf8_lossy(&line);
            output.add_line(text.trim_end().to_owned(), is_log && is_whole);
            line.clear();
        }
    })
}

/// Starts the watcher of the child's process group.
#[cfg(unix)]
fn watch(child: &Child) -> anyhow::Result<(Option<ChildStdin>, Option<Child>)> {
    let Some(group) = child.id() else {
        return Ok((None, None));
    };
    let mut watcher = Command::new("/bin/sh")
        .args(["-c", WATCHER, &group.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A signal from the terminal that ends this process must not end the watcher.
        .process_group(0)
        .spawn()
        .context("cannot start /bin/sh, which stops the connector")?;
    Ok((watcher.stdin.take(), Some(watcher)))
}

#[cfg(not(unix))]
fn watch(_: &Child) -> anyhow::Result<(Option<ChildStdin>, Option<Child>)> {
    Ok((None, None))
}

#[cfg(test)]
mod tests {
    use fivetran_runner::redactor_by_names;

    use super::*;
    use crate::clock::SystemClock;

    fn output() -> Arc<Output> {
        let secret = [("api_key".to_owned(), "hunter22".to_owned())];
        Arc::new(Output::new(redactor_by_names(&secret.into())))
    }

    #[test]
    fn a_command_is_split_like_a_shell_does_and_has_its_port() {
        let words = split("run 'my connector' --port={port}", 5).unwrap();
        assert_eq!(words, ["run", "my connector", "--port=5"]);
        assert!(split("run", 5).is_err() && split("run '{port}", 5).is_err());
    }

    #[tokio::test]
    async fn a_connector_that_ends_too_early_is_quoted_without_secrets() {
        let command = "sh -c 'echo {port}; echo no hunter22 >&2; exit 3'";
        let error = ConnectorProcess::start(command, &output(), &SystemClock).await;
        let text = format!("{:#}", error.err().unwrap());
        assert!(
            text.contains("exit status: 3") && text.contains("no ***"),
            "{text}"
        );
        let missing = ConnectorProcess::start("/no/such {port}", &output(), &SystemClock).await;
        let text = format!("{:#}", missing.err().unwrap());
        assert!(text.contains("cannot start `/no/such`"), "{text}");
    }

    #[tokio::test]
    async fn a_connector_that_ends_while_its_child_keeps_the_output_open_has_ended() {
        let command = "sh -c 'echo no license >&2; sleep 1000 & exit 3' {port}";
        let error = ConnectorProcess::start(command, &output(), &SystemClock).await;
        let error = error.err().unwrap();
        let error = error.downcast_ref::<StartError>().unwrap();
        assert!(error.reason.contains("exit status: 3"), "{error}");
        assert_eq!(error.last_lines, ["no license"]);
    }

    #[tokio::test]
    async fn another_port_is_tried_when_one_is_taken_before_the_connector_listens() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("ports");
        let command = format!(
            "sh -c 'echo $1 >> {0}; [ $(wc -l < {0}) -gt 1 ] || {{ echo OSError: Address already in use >&2; exit 1; }}; \
             exec python3 -m http.server --bind 127.0.0.1 $1' - {{port}}",
            marker.display()
        );
        let running = ConnectorProcess::start(&command, &output(), &SystemClock).await;
        let running = running.map_err(|error| format!("{error:#}")).unwrap();
        let ports = std::fs::read_to_string(&marker).unwrap();
        let ports: Vec<&str> = ports.lines().collect();
        assert_eq!(ports.len(), 2);
        assert!(running.endpoint.ends_with(ports[1]), "{}", running.endpoint);
        running.kill().await;
    }

    /// A server without `SO_REUSEADDR`, for which a reserved port is in use.
    #[tokio::test]
    async fn a_connector_that_does_not_reuse_addresses_is_started_on_another_port() {
        let command = "python3 -c '
import socket, sys, time
server = socket.socket()
server.bind((\"127.0.0.1\", int(sys.argv[1])))
server.listen()
time.sleep(1000)
' {port}";
        let running = ConnectorProcess::start(command, &output(), &SystemClock).await;
        let running = running.map_err(|error| format!("{error:#}")).unwrap();
        running.kill().await;
    }

    /// A connector that listens, starts a child process, and prints both process ids.
    const LISTENS: &str = "python3 -c '
import os, socket, subprocess, sys, time
server = socket.create_server((\"127.0.0.1\", int(sys.argv[1])))
child = subprocess.Popen([\"sleep\", \"1000\"])
print(os.getpid(), child.pid, flush=True)
time.sleep(1000)
' {port}";

    fn runs(id: &str) -> bool {
        // A zombie process has ended.
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .starts_with(" Z")
        })
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_connector_ends_with_all_that_it_started() {
        for drops in [false, true] {
            let output = output();
            let running = ConnectorProcess::start(LISTENS, &output, &SystemClock)
                .await
                .unwrap();
            while output.stdout().is_empty() {
                tokio::task::yield_now().await;
            }
            let line = output.stdout()[0].clone();
            let ids: Vec<&str> = line.split(' ').collect();
            assert!(ids.iter().all(|id| runs(id)), "{line}");
            if drops {
                drop(running);
            } else {
                running.end(&SystemClock).await;
            }
            while ids.iter().any(|id| runs(id)) {
                tokio::task::yield_now().await;
            }
        }
    }
}
