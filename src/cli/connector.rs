//! The connector that the local run calls.
//!
//! The connector is ours in this process, one that already listens (`--connect`), or a process of its own (`--spawn`).

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::bail;
use async_trait::async_trait;
use clap::Args;
use fivetran_runner::{
    AwaitExit, ConnectorExit,
    conformance::{Ending, Restart},
    redactor_by_names,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    configuration_file::{self, CONFIGURATION},
    process::end_signal,
    spawned::{ConnectorProcess, Output, START},
};
use crate::{
    clock::SystemClock,
    fivetran::{Service, SyncHooks, server},
    telemetry::Telemetry,
};

/// The time within which a connector that was started elsewhere must respond, if its port accepts connections.
const PUBLISHED: Duration = Duration::from_secs(10);

/// Arguments that select another connector. Without any of them, ours is used.
#[derive(Debug, Clone, Args)]
pub(super) struct ConnectorTarget {
    /// Uses another connector, which listens at this address.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["spawn", "demo"])]
    connect: Option<String>,
    /// Uses another connector, which is started with this command; {port} is replaced by a free port.
    #[arg(long, value_name = "COMMAND", conflicts_with = "demo")]
    spawn: Option<String>,
}

impl ConnectorTarget {
    /// Returns the target of an address, or else of a command.
    pub(super) fn other(text: &str) -> Self {
        let is_address = text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok()
        });
        let [connect, spawn] = [is_address, !is_address].map(|it| it.then(|| text.to_owned()));
        Self { connect, spawn }
    }

    /// Returns the address or the command of another connector; `None` if the connector is ours.
    pub(super) fn name(&self) -> Option<&str> {
        self.connect.as_deref().or(self.spawn.as_deref())
    }

    /// Reads the values of the setup form. Another connector than ours may have none.
    pub(super) fn configuration(
        &self,
        file: Option<&Path>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let is_ours = self.name().is_none();
        match file {
            Some(file) => Ok(configuration_file::read(file)?),
            None if is_ours || Path::new(CONFIGURATION).exists() => {
                Ok(configuration_file::read(Path::new(CONFIGURATION))?)
            }
            None => Ok(BTreeMap::new()),
        }
    }

    /// Starts the connector, if it does not already listen. `telemetry` and `hooks` apply only to ours.
    pub(super) async fn start(
        &self,
        telemetry: Telemetry,
        hooks: SyncHooks,
        configuration: &BTreeMap<String, String>,
        interrupted: &CancellationToken,
    ) -> anyhow::Result<Connector> {
        let kind = match (&self.connect, &self.spawn) {
            (Some(address), _) => Kind::Connected(address.clone()),
            (None, Some(command)) => {
                let output = Arc::new(Output::new(redactor_by_names(configuration)));
                let running = tokio::select! {
                    started = ConnectorProcess::start(command, &output, &SystemClock) => started?,
                    () = interrupted.cancelled() => bail!("interrupted while the connector was starting"),
                };
                Kind::Spawned(Arc::new(Spawned {
                    command: command.clone(),
                    running: tokio::sync::Mutex::new(Some(running)),
                    output,
                }))
            }
            (None, None) => Kind::Ours(Ours::start(telemetry, hooks)?),
        };
        Ok(Connector { kind })
    }
}

/// A connector that accepts calls.
pub(super) struct Connector {
    kind: Kind,
}

enum Kind {
    Ours(Ours),
    Connected(String),
    Spawned(Arc<Spawned>),
}

struct Ours {
    endpoint: String,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), server::Error>>,
}

struct Spawned {
    command: String,
    running: tokio::sync::Mutex<Option<ConnectorProcess>>,
    output: Arc<Output>,
}

impl Ours {
    fn start(telemetry: Telemetry, hooks: SyncHooks) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let listener = server::listen_locally()?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let service =
            Service::new(Arc::new(SystemClock), telemetry, stop.clone()).with_hooks(hooks);
        let serving = tokio::spawn(server::serve(
            listener,
            service,
            stop.clone(),
            stop.clone().cancelled_owned(),
        ));
        Ok(Self {
            endpoint,
            stop,
            serving,
        })
    }
}

impl Connector {
    /// Returns the address at which the connector listens.
    pub(super) async fn endpoint(&self) -> String {
        match &self.kind {
            Kind::Ours(ours) => ours.endpoint.clone(),
            Kind::Connected(address) => address.clone(),
            Kind::Spawned(spawned) => {
                let running = spawned.running.lock().await;
                running
                    .as_ref()
                    .map_or_else(String::new, |it| it.endpoint.clone())
            }
        }
    }

    /// Returns the means to restart the connector, if it was started with `--spawn`.
    pub(super) fn restart(&self) -> Option<&dyn Restart> {
        match &self.kind {
            Kind::Spawned(spawned) => Some(&**spawned),
            Kind::Ours(_) | Kind::Connected(_) => None,
        }
    }

    /// Returns the process of the connector, if it was started with `--spawn`.
    pub(super) fn process(&self) -> Option<Arc<dyn AwaitExit>> {
        match &self.kind {
            Kind::Spawned(spawned) => Some(Arc::clone(spawned) as Arc<dyn AwaitExit>),
            Kind::Ours(_) | Kind::Connected(_) => None,
        }
    }

    /// Returns the time within which the connector must respond to the first call.
    pub(super) fn start_within(&self) -> Duration {
        match &self.kind {
            Kind::Ours(_) => Duration::ZERO,
            Kind::Connected(_) => PUBLISHED,
            Kind::Spawned(_) => START,
        }
    }

    /// Ends the connector gracefully if it was started here. With `--spawn`, returns the lines of its stdout.
    pub(super) async fn end(self) -> Option<Vec<String>> {
        match self.kind {
            Kind::Ours(ours) => {
                ours.stop.cancel();
                let _ = ours.serving.await;
                None
            }
            Kind::Connected(_) => None,
            Kind::Spawned(spawned) => {
                if let Some(running) = spawned.running.lock().await.take() {
                    running.end(&SystemClock).await;
                }
                Some(spawned.output.stdout())
            }
        }
    }
}

#[async_trait]
impl AwaitExit for Spawned {
    async fn exit(&self) -> Option<ConnectorExit> {
        let mut running = self.running.lock().await;
        running.as_mut()?.exit(&self.output, &SystemClock).await
    }
}

#[async_trait]
impl Restart for Spawned {
    async fn restart(&self, ending: Ending) -> Result<String, String> {
        let mut running = self.running.lock().await;
        if let Some(old) = running.take() {
            match ending {
                Ending::Asked => old.end(&SystemClock).await,
                Ending::Killed => old.kill().await,
            }
        }
        let new = ConnectorProcess::start(&self.command, &self.output, &SystemClock)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let endpoint = new.endpoint.clone();
        *running = Some(new);
        Ok(endpoint)
    }
}

/// Returns a token that is cancelled when this process is asked to end. A second signal ends the process at once.
pub(super) fn interruption() -> CancellationToken {
    let interrupted = CancellationToken::new();
    let interrupt = interrupted.clone();
    tokio::spawn(async move {
        end_signal().await;
        interrupt.cancel();
        end_signal().await;
        std::process::exit(130);
    });
    interrupted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_a_command() {
        for address in ["127.0.0.1:50051", "localhost:1", "[::1]:50051"] {
            let target = ConnectorTarget::other(address);
            assert_eq!(
                (target.connect.as_deref(), target.spawn),
                (Some(address), None)
            );
        }
        for command in [
            "./old --port {port}",
            "python old.py {port}",
            "old",
            "a b:1",
        ] {
            let target = ConnectorTarget::other(command);
            assert_eq!(
                (target.connect, target.spawn.as_deref()),
                (None, Some(command))
            );
        }
    }
}
