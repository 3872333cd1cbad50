//! `check`: runs the setup tests, as Fivetran does when the form is saved.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clap::Args;
use futures::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use super::configuration_file;
use crate::{
    clock::{Clock as _, SystemClock},
    config,
    fivetran::{Service, server},
    messages,
    telemetry::Telemetry,
};
use fivetran_runner::{TestOutcome, terminal};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file with the values of the setup form, a JSON object of strings.
    #[arg(long, default_value = "configuration.json")]
    configuration: PathBuf,
}

/// Runs the tests. The exit code is a failure if a test fails.
pub(super) async fn check(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let answers = configuration_file::read(&arguments.configuration)?;
    let print = |line: &str| {
        let line = terminal::wrapped(line, terminal::width());
        writeln!(io::stdout(), "{line}")
    };
    let unknown = config::unknown_fields(answers.keys());
    for field in &unknown {
        print(&format!("Test FAILED: Reading the configuration: {field}"))?;
    }
    for warning in corrections(&answers) {
        print(&format!("Warning: {warning}"))?;
    }
    let future = future_start(&answers, SystemClock.now());
    if let Some(why) = &future {
        print(&format!("Test FAILED: Reading the configuration: {why}"))?;
    }
    let outcomes = tests(&answers).await?;
    for line in in_words(&outcomes) {
        print(&line)?;
    }
    let is_good = unknown.is_empty()
        && future.is_none()
        && outcomes.iter().all(|outcome| outcome.failure.is_none());
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the warnings about corrected values. Unknown fields are reported as failures instead.
fn corrections(answers: &BTreeMap<String, String>) -> Vec<String> {
    let answers: HashMap<_, _> = answers.clone().into_iter().collect();
    // An invalid configuration is reported by the setup tests.
    let mut warnings = config::parse(&answers).map_or_else(|_| Vec::new(), |it| it.warnings);
    let unknown = messages::UNKNOWN_FIELD.format("");
    warnings.retain(|warning| !warning.ends_with(&unknown));
    warnings
}

/// Returns a sentence about a start date after `now`.
fn future_start(answers: &BTreeMap<String, String>, now: DateTime<Utc>) -> Option<String> {
    let answers: HashMap<_, _> = answers.clone().into_iter().collect();
    // An invalid configuration is reported by the setup tests.
    let start = config::parse(&answers).ok()?.settings.start_date?.get();
    (start > now).then(|| {
        format!(
            "configuration field `start_date`: {} is in the future, so only runs after that day are synced; choose an earlier day",
            start.format("%Y-%m-%d")
        )
    })
}

/// Runs the setup tests with these values of the form, up to the first failure.
pub(super) async fn tests(answers: &BTreeMap<String, String>) -> anyhow::Result<Vec<TestOutcome>> {
    run(answers, None).await
}

/// Runs the setup tests, or only the one with the name `only`.
async fn run(
    answers: &BTreeMap<String, String>,
    only: Option<&str>,
) -> anyhow::Result<Vec<TestOutcome>> {
    let stop = CancellationToken::new();
    let service = Service::new(Arc::new(SystemClock), Telemetry::default(), stop);
    let (wire, calls) = fivetran_runner::within();
    let callers = UnboundedReceiverStream::new(calls).map(Ok);
    let serving = tokio::spawn(server::serve_any(callers, service));
    let outcomes = fivetran_runner::run_tests(&wire, answers, only).await;
    serving.abort();
    Ok(outcomes?)
}

/// Tests the address with the credentials. Returns the reason why Prefect rejects them.
pub(super) async fn connection(
    answers: &BTreeMap<String, String>,
) -> anyhow::Result<Option<String>> {
    let outcomes = run(answers, Some(config::CONNECTION_TEST.name)).await?;
    Ok(outcomes.into_iter().find_map(|outcome| outcome.failure))
}

/// Tests an address without credentials. Returns the reason why it is not that of a Prefect API.
pub(super) async fn address(answers: &BTreeMap<String, String>) -> anyhow::Result<Option<String>> {
    let failure = connection(answers).await?;
    // A server that requires credentials responds.
    let credentials = [&messages::CREDENTIALS, &messages::ACCESS];
    let is_address = |why: &String| {
        let ends = |message: &&messages::Message| why.ends_with(&message.format(""));
        !credentials.iter().any(ends)
    };
    Ok(failure.filter(is_address))
}

/// Returns a line about the outcome of each test.
pub(super) fn in_words(outcomes: &[TestOutcome]) -> Vec<String> {
    let line = |outcome: &TestOutcome| match &outcome.failure {
        None => format!("Test passed: {}", outcome.label),
        Some(why) => format!("Test FAILED: {}: {why}", outcome.label),
    };
    outcomes.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrected_address_is_reported_and_an_unknown_field_is_not_a_correction() {
        let corrected = |url: &str| {
            let fields = [("api_url", url), ("colour", "red")];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
            corrections(&BTreeMap::from(fields))
        };
        assert_eq!(corrected("http://h/api"), [""; 0]);
        assert_eq!(corrected("no address"), [""; 0]);
        assert_eq!(
            corrected("http://h:4200/dashboard"),
            [
                "the API URL was the address of a web page, and the URL is now http://h:4200/api [W01]"
            ]
        );
    }

    #[test]
    fn a_start_date_in_the_future_is_reported() {
        let now = "2026-03-01T12:00:00Z".parse().expect("a time");
        let reported = |start: &str| {
            let fields = [("api_url", "http://h/api"), ("start_date", start)];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
            future_start(&BTreeMap::from(fields), now)
        };
        for past in ["2026-03-01", "2026-03-01T12:00:00Z", "yesterday", ""] {
            assert_eq!(reported(past), None, "{past}");
        }
        let why = reported("2027-03-01").expect("reported");
        assert!(why.contains("2027-03-01 is in the future"), "{why}");
    }
}
