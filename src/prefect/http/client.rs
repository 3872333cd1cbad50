//! The client that all requests of a sync share.

use std::time::Duration;

use reqwest::{Certificate, Client};

use crate::{
    config::{CaCertificates, Settings},
    prefect::Patience,
};

/// Prefect's own server drops a connection that was idle for 5 s: give it up before.
const IDLE: Duration = Duration::from_secs(4);

/// One client for all requests: it keeps connections open.
pub(super) fn build_client(
    settings: &Settings,
    patience: Patience,
) -> Result<Client, reqwest::Error> {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let mut builder = Client::builder()
            .user_agent(concat!(
                "fivetran-source-prefect/",
                env!("CARGO_PKG_VERSION")
            ))
            // Prefect's server speaks nothing else.
            .http1_only()
            // Saves the network what it costs the processor: on this machine there is no network.
            .gzip(!settings.api_url.is_on_this_machine())
            .pool_idle_timeout(IDLE)
            .connect_timeout(patience.connect)
            .read_timeout(patience.silence)
            // A redirect to a login page is an error, not HTML to read; and the key stays here.
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
        // No certificate store on this machine: the roots that are built in.
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|root| Certificate::from_der(root).ok());
        builder().tls_certs_only(roots).build()
    })
}
