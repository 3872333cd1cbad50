//! The process under load and without resources: a termination signal, no free file descriptors, a full disk, callers
//! that disconnect.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use fivetran_source::{
    clock::SystemClock,
    fivetran::proto::{
        ConfigurationFormRequest, UpdateRequest, source_connector_client::SourceConnectorClient,
        update_response::Operation,
    },
    telemetry::Telemetry,
};
use futures::future::{join_all, try_join_all};
use prefect_fake::{Options, Population, Server, population::fixed_now};
use test_support::Destination;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
};
use tonic::{Code, transport::Channel};

use crate::support::{
    connector::Connector,
    served::{Served, configuration, empty_destination},
};

const RUNS: u32 = 2_000;
const CALLERS: usize = 8;

async fn prefect() -> Server {
    let population = Population {
        runs: RUNS,
        ..Population::small(3, fixed_now())
    };
    Server::start(Options::new(population)).await.unwrap()
}

/// The executable, started by a shell that sets limits first.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    async fn start(limits: &str) -> Self {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("{limits} exec \"$0\" --port 0"))
            .arg(env!("CARGO_BIN_EXE_fivetran_source"))
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (port, lines) = spawn_blocking(move || {
            let port = lines.find_map(|line| {
                let line = line.unwrap();
                let (_, rest) = line.split_once("listening port=")?;
                let digits = rest.split(|it: char| !it.is_ascii_digit()).next();
                digits.map(str::to_owned)
            });
            (port.expect("it listens"), lines)
        })
        .await
        .unwrap();
        // The rest of the output must be read: the process would block on a full pipe.
        spawn_blocking(move || lines.count());
        Self {
            child,
            address: format!("127.0.0.1:{port}"),
        }
    }

    async fn client(&self) -> SourceConnectorClient<Channel> {
        let address = format!("http://{}", self.address);
        SourceConnectorClient::connect(address).await.unwrap()
    }

    /// Terminates the process with SIGTERM, as a platform does, and returns its exit code.
    fn end(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let reported = Command::new("kill").args(["-TERM", &id]).status();
        assert!(reported.unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn update(url: &str, state_json: Option<String>) -> UpdateRequest {
    UpdateRequest {
        configuration: configuration(url, &[("batch_size", "50")]),
        selection: Some(crate::support::core_selection()),
        state_json,
    }
}

/// Runs a sync to its end.
async fn sync(
    client: &mut SourceConnectorClient<Channel>,
    url: &str,
    destination: &mut Destination,
) {
    let request = update(url, destination.state().map(str::to_owned));
    let (operations, end) = test_support::sync(client, request).await;
    end.unwrap();
    destination.apply_operations(&operations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_process_commits_the_sent_rows_of_every_caller() {
    let prefect = prefect().await;
    let url = prefect.url();
    let process = Process::start("").await;
    let client = process.client().await;
    let streams = (0..CALLERS).map(|_| client.clone());
    let streams = streams.map(|mut client| {
        let url = url.clone();
        async move {
            client
                .update(update(&url, None))
                .await
                .unwrap()
                .into_inner()
        }
    });
    let mut streams = join_all(streams).await;
    // All syncs are under way, and no stream is read yet.
    let mut operations: Vec<Vec<Operation>> = vec![Vec::new(); CALLERS];
    for (stream, operations) in streams.iter_mut().zip(&mut operations) {
        while !matches!(operations.last(), Some(Operation::Checkpoint(_))) {
            operations.extend(stream.message().await.unwrap().unwrap().operation);
        }
    }
    let ended = spawn_blocking(|| process.end());
    for (stream, operations) in streams.iter_mut().zip(&mut operations) {
        let end = loop {
            match stream.message().await {
                Ok(Some(message)) => operations.extend(message.operation),
                Ok(None) => break None,
                Err(status) => break Some(status.code()),
            }
        };
        assert_eq!(end, Some(Code::Unavailable));
        assert!(matches!(operations.last(), Some(Operation::Checkpoint(_))));
    }
    drop((streams, client.clone()));
    drop(client);
    assert_eq!(ended.await.unwrap(), Some(0));

    // Another process continues each sync from its last checkpoint.
    let process = Process::start("").await;
    let mut client = process.client().await;
    for operations in operations {
        let mut destination = empty_destination();
        destination.apply_operations(&operations);
        let before = destination.live("flow_runs").len();
        sync(&mut client, &url, &mut destination).await;
        assert!(before < RUNS as usize);
        assert_eq!(destination.live("flow_runs").len(), RUNS as usize);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_survives_running_out_of_file_descriptors() {
    let prefect = prefect().await;
    let process = Process::start("ulimit -n 40;").await;
    // More connections than the process can accept; the system queues the rest.
    let visitors = (0..100).map(|_| TcpStream::connect(&process.address));
    let mut visitors = try_join_all(visitors).await.unwrap();
    // The first connection was accepted: the process sends its greeting (HTTP/2 settings).
    let mut greeting = [0; 1];
    visitors[0].read_exact(&mut greeting).await.unwrap();
    drop(visitors);
    let mut client = process.client().await;
    let mut destination = empty_destination();
    sync(&mut client, &prefect.url(), &mut destination).await;
    assert_eq!(destination.live("flow_runs").len(), RUNS as usize);
    drop(client);
    assert_eq!(spawn_blocking(|| process.end()).await.unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_come_and_go_disturb_no_sync() {
    let prefect = prefect().await;
    let served = Served::start(Arc::new(SystemClock), Telemetry::default()).await;
    let mut client = served.client.clone();
    let url = prefect.url();
    let sync = async {
        let mut destination = empty_destination();
        sync(&mut client, &url, &mut destination).await;
        destination.live("flow_runs").len()
    };
    let churn = async {
        for _ in 0..200 {
            let mut visitor = served.visitor().await;
            visitor
                .configuration_form(ConfigurationFormRequest {})
                .await
                .unwrap();
        }
    };
    let (rows, ()) = tokio::join!(sync, churn);
    assert_eq!(rows, RUNS as usize);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_ends_its_requests() {
    // A server that accepts requests and responds to none.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    let served = Served::start(Arc::new(SystemClock), Telemetry::default()).await;
    let mut client = served.client.clone();
    let caller = tokio::spawn(async move {
        let stream = client.update(update(&url, None)).await.unwrap();
        let _ = stream.into_inner().message().await;
    });
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut request = [0; 4];
    socket.read_exact(&mut request).await.unwrap();
    assert_eq!(&request, b"POST");
    let since = Instant::now();
    caller.abort();
    // The connection is closed: the connector no longer waits for the response.
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut rest));
    let _ = closed.await.expect("the request is given up");
    println!("given up after {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_local_run_with_an_error_and_loses_nothing() {
    let prefect = prefect().await;
    let connector = Connector::new(&prefect.url(), 50);
    let whole = connector.debug();
    // No file may become larger than 300 blocks of 512 bytes: writing fails as it does on a full disk.
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$@\"")
        .arg(whole.get_program())
        .args(whole.get_args())
        .current_dir(whole.get_current_dir().unwrap())
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null());
    let output = spawn_blocking(move || limited.output().unwrap())
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("warehouse"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    println!("{}", text.lines().last().unwrap_or_default());
    // With enough space again, the sync continues.
    let report = connector.sync().await;
    assert!(report.count("Upserts") > 0);
    let rows = crate::support::warehouse::open(&connector.warehouse())
        .query_row("SELECT count(*) FROM tester.flow_runs", [], |row| {
            row.get::<_, u32>(0)
        })
        .unwrap();
    assert_eq!(rows, RUNS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unwritable_folder_is_reported_before_anything_is_read() {
    let prefect = prefect().await;
    let connector = Connector::new(&prefect.url(), 50);
    let whole = connector.debug();
    let mut command = Command::new(whole.get_program());
    // Not even root can create a folder there.
    let arguments = whole.get_args().map(|argument| {
        let is_folder = argument.to_string_lossy().ends_with("/files");
        if is_folder {
            "/proc/files".as_ref()
        } else {
            argument
        }
    });
    command.args(arguments).stdin(Stdio::null());
    let output = spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("create /proc/files"), "{text}");
    assert_eq!(prefect.requests(), 0);
}
