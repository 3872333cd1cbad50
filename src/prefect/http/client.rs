//! The HTTP client that all requests of a sync share.

use std::time::Duration;

use reqwest::Client;

use super::{proxy::Proxy, tls};
use crate::{config::Settings, prefect::RetryPolicy};

/// The time after which an idle connection is closed: Prefect's own server closes it after 5 s.
const IDLE: Duration = Duration::from_secs(4);

/// The reason why no client can be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// TLS cannot be configured.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refused the settings.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

/// Builds the client. One client serves all requests, so that connections are reused.
pub(super) fn build_client(
    settings: &Settings,
    policy: RetryPolicy,
    proxy: Option<&Proxy>,
) -> Result<Client, BuildError> {
    let tls = if settings.api_url.uses_tls() || proxy.is_some_and(|proxy| proxy.uses_tls) {
        tls::with_certificates(settings.ca_certificates.as_ref())?
    } else {
        tls::without_certificates()?
    };
    let mut client = Client::builder()
        .user_agent(concat!(
            "fivetran-source-prefect/",
            env!("CARGO_PKG_VERSION")
        ))
        .tls_backend_preconfigured(tls)
        // Prefect's server supports only HTTP/1.
        .http1_only()
        // Compression costs processor time to save network traffic, of which a server on this machine causes none.
        .gzip(!settings.api_url.is_on_this_machine())
        .pool_idle_timeout(IDLE)
        .connect_timeout(policy.connect_timeout)
        .read_timeout(policy.read_timeout)
        // A redirect, for example to a login page, is an error. Not following it also keeps the key from other hosts.
        .redirect(reqwest::redirect::Policy::none());
    if proxy.is_none() {
        client = client.no_proxy();
    }
    Ok(client.build()?)
}
