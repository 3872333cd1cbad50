//! The connector's process: started as Fivetran starts it, called and measured.

use std::{
    collections::HashMap,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use fivetran_source::fivetran::proto::{
    ConfigurationFormRequest, source_connector_client::SourceConnectorClient,
};
use nix::sys::signal::{Signal, kill};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tonic::transport::{Channel, Endpoint};

use crate::{
    caller::Caller,
    drain::{self, Drained, Stall},
    meter::Meter,
    program::{Cost, command},
};

/// A running connector, which stops when it is dropped.
pub struct Connector {
    // The process is killed when this is dropped.
    child: Child,
    meter: Meter,
    port: u16,
    channel: Channel,
}

/// The result of a sync.
#[derive(Debug)]
pub struct Synced {
    /// The connector's cost, from the call to the end of the stream.
    pub cost: Cost,
    /// The counts of the received messages.
    pub drained: Drained,
}

impl Connector {
    /// Starts the executable and reads the port from its log.
    pub async fn start(executable: &Path) -> Result<Self> {
        Self::start_command(command(executable).args(["--port", "0"])).await
    }

    /// Starts a program that serves a connector, and reads the port from its output.
    pub async fn start_command(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let meter = Meter::for_process(child.id().context("the connector has ended")?)?;
        let output = child.stdout.take().context("stdout")?;
        let mut lines = BufReader::new(output).lines();
        let port = loop {
            let line = lines
                .next_line()
                .await?
                .context("the connector has ended")?;
            if let Some(port) = port(&line) {
                break port;
            }
        };
        // The log must be read to its end, because a full pipe would block the connector.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#) {
                    eprintln!("connector: {line}");
                }
            }
        });
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
        Ok(Self {
            child,
            meter,
            port,
            channel: endpoint.connect().await?,
        })
    }

    /// Returns the time from the process's start to its first response.
    pub async fn time_to_serve(executable: &Path) -> Result<Duration> {
        let started = Instant::now();
        let connector = Self::start(executable).await?;
        SourceConnectorClient::new(connector.channel.clone())
            .configuration_form(ConfigurationFormRequest {})
            .await?;
        Ok(started.elapsed())
    }

    /// Syncs the core tables of the server at `url`.
    pub async fn sync(
        &self,
        url: &str,
        in_flight: usize,
        state: Option<String>,
        stall: Option<Stall>,
    ) -> Result<Synced> {
        let request = drain::request(configuration(url, in_flight), state);
        let before = self.meter.cpu()?;
        let started = Instant::now();
        let drained = drain::update(self.channel.clone(), request, stall).await?;
        for warning in &drained.warnings {
            eprintln!("warning of the sync: {warning}");
        }
        let cost = Cost {
            wall: started.elapsed(),
            cpu: self.meter.cpu()? - before,
            rss: self.meter.peak_rss().context("the connector has ended")?,
        };
        Ok(Synced { cost, drained })
    }

    /// Runs a first sync with a caller in a process of its own.
    pub async fn sync_for(
        &self,
        caller: &Caller,
        configuration: HashMap<String, String>,
        stall: Option<Stall>,
    ) -> Result<Synced> {
        let before = self.meter.cpu()?;
        let (drained, wall) = caller.update(self.port, configuration, stall).await?;
        let cost = Cost {
            wall,
            cpu: self.meter.cpu()? - before,
            rss: self.meter.peak_rss().context("the connector has ended")?,
        };
        Ok(Synced { cost, drained })
    }

    /// Ends the process with SIGTERM and waits for it.
    pub async fn stop(mut self) -> Result<()> {
        kill(self.meter.pid(), Signal::SIGTERM)?;
        self.child.wait().await?;
        Ok(())
    }
}

/// Returns the values of the setup form.
pub fn configuration(url: &str, in_flight: usize) -> HashMap<String, String> {
    HashMap::from([
        ("api_url".to_owned(), url.to_owned()),
        ("concurrency".to_owned(), in_flight.to_string()),
    ])
}

/// Returns the port in the line `listening port=… version=…`.
fn port(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("listening port=")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
