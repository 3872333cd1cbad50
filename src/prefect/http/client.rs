//! The HTTP client that all requests of a sync share.

use std::time::Duration;

use reqwest::{Certificate, Client};

use crate::{
    config::{CaCertificates, Settings},
    prefect::RetryPolicy,
};

/// The time after which an idle connection is closed: Prefect's own server closes it after 5 s.
const IDLE: Duration = Duration::from_secs(4);

/// Builds the client. One client serves all requests, so that connections are reused.
pub(super) fn build_client(
    settings: &Settings,
    policy: RetryPolicy,
) -> Result<Client, reqwest::Error> {
    // Fails only if a provider is already installed, which is equally good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let mut builder = Client::builder()
            .user_agent(concat!(
                "fivetran-source-prefect/",
                env!("CARGO_PKG_VERSION")
            ))
            // Prefect's server supports only HTTP/1.
            .http1_only()
            // Compression costs processor time to save network traffic, of which a server on this machine causes
            // none.
            .gzip(!settings.api_url.is_on_this_machine())
            .pool_idle_timeout(IDLE)
            .connect_timeout(policy.connect_timeout)
            .read_timeout(policy.read_timeout)
            // A redirect, for example to a login page, is an error. Not following it also keeps the key from other
            // hosts.
            .redirect(reqwest::redirect::Policy::none());
        let own = settings
            .ca_certificates
            .iter()
            .flat_map(CaCertificates::iter);
        for certificate in own.filter_map(|der| Certificate::from_der(der).ok()) {
            builder = builder.add_root_certificate(certificate);
        }
        builder
    };
    builder().build().or_else(|_| {
        // Without a certificate store on this machine, the built-in root certificates are used.
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|root| Certificate::from_der(root).ok());
        builder().tls_certs_only(roots).build()
    })
}
