//! Where the connector is that Fivetran is played for: ours in this process, one that listens already
//! (`--connect`), or a process of its own (`--spawn`).

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use clap::Args;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::spawned::{Output, Running};
use crate::{
    clock::SystemClock,
    debug::{
        Redactor,
        conformance::{Ending, Restart},
    },
    fivetran::{Instruments, Service, server},
    telemetry::Telemetry,
};

/// The configuration that is taken when none is named.
const CONFIGURATION: &str = "configuration.json";

/// Arguments that say where the connector is. Without any it is ours.
#[derive(Debug, Clone, Args)]
pub(super) struct Elsewhere {
    /// Another connector than ours: one that listens there.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["spawn", "demo"])]
    connect: Option<String>,
    /// Another connector than ours: started with this command, in which {port} stands for a free port.
    #[arg(long, value_name = "COMMAND", conflicts_with = "demo")]
    spawn: Option<String>,
}

impl Elsewhere {
    /// What names another connector than ours; `None`: it is ours.
    pub(super) fn name(&self) -> Option<&str> {
        self.connect.as_deref().or(self.spawn.as_deref())
    }

    /// The answers to the setup form. Other connectors than ours may do without any.
    pub(super) fn configuration(
        &self,
        file: Option<&Path>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let is_ours = self.name().is_none();
        match file {
            Some(file) => read_configuration(file),
            None if is_ours || Path::new(CONFIGURATION).exists() => {
                read_configuration(Path::new(CONFIGURATION))
            }
            None => Ok(BTreeMap::new()),
        }
    }

    /// Finds or starts the connector. `telemetry` is told of what ours does; `instruments` stand around its syncs.
    pub(super) async fn start(
        &self,
        telemetry: Telemetry,
        instruments: Instruments,
        configuration: &BTreeMap<String, String>,
    ) -> anyhow::Result<Connector> {
        let kind = match (&self.connect, &self.spawn) {
            (Some(address), _) => Kind::Connected(address.clone()),
            (None, Some(command)) => {
                let output = Arc::new(Output::new(Redactor::by_names(configuration)));
                let running = Running::start(command, &output, &SystemClock).await?;
                Kind::Spawned(Box::new(Spawned {
                    command: command.clone(),
                    running: tokio::sync::Mutex::new(Some(running)),
                    output,
                }))
            }
            (None, None) => Kind::Ours(Ours::start(telemetry, instruments)?),
        };
        Ok(Connector { kind })
    }
}

/// A connector that takes calls.
pub(super) struct Connector {
    kind: Kind,
}

enum Kind {
    Ours(Ours),
    Connected(String),
    Spawned(Box<Spawned>),
}

struct Ours {
    endpoint: String,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), server::Error>>,
}

struct Spawned {
    command: String,
    running: tokio::sync::Mutex<Option<Running>>,
    output: Arc<Output>,
}

impl Ours {
    fn start(telemetry: Telemetry, instruments: Instruments) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let listener = server::listen_locally()?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let service = Service::new(Arc::new(SystemClock), telemetry, stop.clone())
            .with_instruments(instruments);
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
    /// Whether it is ours, and tells what it does by itself.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Ours(_))
    }

    /// Where it listens.
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

    /// What can end it and start it anew, for a connector that was started here.
    pub(super) fn restart(&self) -> Option<&dyn Restart> {
        match &self.kind {
            Kind::Spawned(spawned) => Some(&**spawned),
            Kind::Ours(_) | Kind::Connected(_) => None,
        }
    }

    /// Ends it if it was started here, in good order; the lines that it wrote to stdout, if they were seen.
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
impl Restart for Spawned {
    async fn restart(&self, ending: Ending) -> Result<String, String> {
        let mut running = self.running.lock().await;
        if let Some(old) = running.take() {
            match ending {
                Ending::Asked => old.end(&SystemClock).await,
                Ending::Killed => old.kill().await,
            }
        }
        let new = Running::start(&self.command, &self.output, &SystemClock)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let endpoint = new.endpoint.clone();
        *running = Some(new);
        Ok(endpoint)
    }
}

/// Trips when this process is asked to end. Who asks twice does not want to wait for it.
pub(super) fn interruption() -> CancellationToken {
    let interrupted = CancellationToken::new();
    let interrupt = interrupted.clone();
    tokio::spawn(async move {
        super::end_signal().await;
        interrupt.cancel();
        super::end_signal().await;
        std::process::exit(130);
    });
    interrupted
}

/// Reads the configuration file; an error tells its place, never a value.
pub(super) fn read_configuration(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(file).with_context(|| {
        format!(
            "cannot read {} (make one with `fivetran_source init`, or try --demo)",
            file.display()
        )
    })?;
    match serde_json::from_str(&text) {
        Ok(configuration) => Ok(configuration),
        Err(error) => bail!(
            "{} must be a JSON object whose values are all strings (line {}, column {})",
            file.display(),
            error.line(),
            error.column()
        ),
    }
}
