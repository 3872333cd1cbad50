//! The TLS configurations of the process: certificates are read once, and only if a connection may use TLS.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
};
use rustls_platform_verifier::Verifier;

use crate::config::CaCertificates;

/// The maximum number of configurations that are kept: one for each set of the users' own certificates.
const MOST_KEPT: usize = 16;

/// The configurations that were built before.
static BUILT: Mutex<Vec<(Option<CaCertificates>, ClientConfig)>> = Mutex::new(Vec::new());

/// Returns the configuration that trusts the machine's certificates and `own`.
///
/// Reading the certificates of a machine takes about 19 million instructions, four times as many as the rest of a sync
/// that finds nothing. The copies of a configuration share its certificates and its TLS sessions.
pub(super) fn with_certificates(
    own: Option<&CaCertificates>,
) -> Result<ClientConfig, rustls::Error> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = built.iter().find(|(of, _)| of.as_ref() == own) {
        return Ok(config.clone());
    }
    let config = build(own)?;
    if built.len() == MOST_KEPT {
        built.remove(0);
    }
    built.push((own.cloned(), config.clone()));
    Ok(config)
}

/// Returns a configuration that trusts no certificate, for connections without TLS.
pub(super) fn without_certificates() -> Result<ClientConfig, rustls::Error> {
    let config =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(http1(
        config
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    ))
}

fn build(own: Option<&CaCertificates>) -> Result<ClientConfig, rustls::Error> {
    let own = || {
        let own = own.into_iter().flat_map(CaCertificates::iter);
        own.map(|der| CertificateDer::from(der.to_vec()))
    };
    let config =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let config = if let Ok(verifier) = Verifier::new_with_extra_roots(own(), provider()) {
        config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        // Without a certificate store on this machine, the built-in root certificates are used.
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(own());
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        config.with_root_certificates(roots)
    };
    Ok(http1(config.with_no_client_auth()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Restricts a configuration to HTTP/1, the only version that Prefect's server supports.
fn http1(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_read_once_for_each_set_of_own_certificates() {
        for _ in 0..2 {
            with_certificates(None).expect("certificates");
        }
        let built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        let without_own = built.iter().filter(|(own, _)| own.is_none());
        assert_eq!(without_own.count(), 1);
    }
}
