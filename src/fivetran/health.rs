//! The health check of a serving process, for containers and supervisors that run a command.

use std::time::Duration;

use thiserror::Error;
use tonic::{Status, server::NamedService, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Service, wire::SourceConnectorServer};

/// The time after which a check that was not answered has failed.
const LIMIT: Duration = Duration::from_secs(3);

/// The reason for which a process is not healthy.
#[derive(Debug, Error)]
pub enum HealthError {
    /// The port does not accept connections.
    #[error("nothing listens on port {port} of this machine")]
    Connection {
        /// The port.
        port: u16,
        /// The error of the connection.
        source: tonic::transport::Error,
    },
    /// The check failed.
    #[error("the process on port {port} does not answer health checks: {}", source.message())]
    Check {
        /// The port.
        port: u16,
        /// The error of the call.
        source: Box<Status>,
    },
    /// The process is shutting down.
    #[error("the process on port {port} reports that it is not serving")]
    NotServing {
        /// The port.
        port: u16,
    },
}

/// Checks the process that serves on `port` of this machine, with the standard health service of gRPC.
///
/// # Errors
///
/// If the process cannot be reached within three seconds, or is not serving.
pub async fn check(port: u16) -> Result<(), HealthError> {
    let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))
        .map(|endpoint| endpoint.connect_timeout(LIMIT).timeout(LIMIT));
    let connected = match channel {
        Ok(endpoint) => endpoint.connect().await,
        Err(error) => Err(error),
    };
    let channel = connected.map_err(|source| HealthError::Connection { port, source })?;
    let request = HealthCheckRequest {
        service: SourceConnectorServer::<Service>::NAME.to_owned(),
    };
    let response = HealthClient::new(channel).check(request).await;
    let response = response.map_err(|status| HealthError::Check {
        port,
        source: Box::new(status),
    })?;
    match response.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        _ => Err(HealthError::NotServing { port }),
    }
}
