//! The files of `packaging/`, as far as they can be checked without a service manager or a container.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use fivetran_source::{
    clock::SystemClock,
    fivetran::{Service, health, server},
    telemetry::Telemetry,
};
use tokio_util::sync::CancellationToken;

use crate::support::in_checkout;

const UNITS: [&str; 2] = [
    "fivetran-source-prefect.service",
    "fivetran-source-prefect.timer",
];

/// systemd checks the units itself. The path of the executable is that of the build, because systemd looks for it.
#[test]
fn systemd_accepts_the_units() {
    let folder = tempfile::tempdir().unwrap();
    for unit in UNITS {
        let text = fs::read_to_string(in_checkout("packaging/systemd").join(unit)).unwrap();
        let executable = env!("CARGO_BIN_EXE_fivetran_source");
        let text = text.replace("/usr/local/bin/fivetran_source", executable);
        fs::write(folder.path().join(unit), text).unwrap();
    }
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").args(UNITS).current_dir(&folder);
    let Ok(output) = verify.output() else {
        eprintln!("SKIPPED: systemd-analyze is not installed");
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
}

/// The command that the container runs as its health check.
#[tokio::test]
async fn a_serving_process_is_healthy_until_it_ends() {
    let listener = server::listen(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let service = Service::new(Arc::new(SystemClock), Telemetry::default(), stop.clone());
    let end = stop.clone().cancelled_owned();
    let serving = tokio::spawn(server::serve(listener, service, stop.clone(), end));
    health::check(port).await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
    let error = health::check(port).await.unwrap_err();
    let expected = format!("nothing listens on port {port} of this machine");
    assert_eq!(error.to_string(), expected);
}

/// A timer or cron starts the next sync although the last one is still running.
#[test]
fn a_second_sync_in_the_same_folder_ends_at_once_with_its_own_code() {
    let folder = tempfile::tempdir().unwrap();
    let debug = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fivetran_source"));
        command.args(["debug", "--demo", "--json", "--table", "flows", "--dir"]);
        command.arg::<&Path>(folder.path()).args(arguments);
        command
    };
    let mut first = debug(&["--watch", "1h"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its first sync has ended; it goes on to wait for the next one.
    let mut line = String::new();
    let mut output = BufReader::new(first.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let second = debug(&[]).output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let errors = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(75), "{errors}");
    assert!(
        errors.starts_with("error: another sync is using "),
        "{errors}"
    );
    let third = debug(&[]).output().unwrap();
    assert!(third.status.success(), "{third:?}");
}

/// The exit code by which the unit recognizes a sync that found another one running.
#[test]
fn the_documents_name_the_exit_code_of_a_folder_in_use() {
    for (file, text) in [
        (
            "packaging/systemd/fivetran-source-prefect.service",
            "SuccessExitStatus=75",
        ),
        ("packaging/prefect/sync_flow.py", "STILL_RUNNING = 75"),
        ("docs/OPERATIONS.md", "| 75 |"),
    ] {
        let contents = fs::read_to_string(in_checkout(file)).unwrap();
        assert!(contents.contains(text), "{file}: {text}");
    }
}
