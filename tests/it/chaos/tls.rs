//! Valid and invalid certificates of servers.

use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// The TLS configurations of the servers of these tests.
pub(super) struct Authority {
    /// The authority's certificate for `ca_certificate`.
    pub(super) pem: String,
    pub(super) good: Arc<ServerConfig>,
    pub(super) wrong_host: Arc<ServerConfig>,
    pub(super) expired: Arc<ServerConfig>,
    /// A certificate of an authority that is not configured.
    pub(super) unknown: Arc<ServerConfig>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

impl Authority {
    pub(super) fn get() -> &'static Self {
        &AUTHORITY
    }

    fn new() -> Self {
        let (ours, pem) = issuer("ours");
        let (theirs, _) = issuer("theirs");
        Self {
            good: config(&ours, "127.0.0.1", 2040),
            wrong_host: config(&ours, "elsewhere.example", 2040),
            expired: config(&ours, "127.0.0.1", 2021),
            unknown: config(&theirs, "127.0.0.1", 2040),
            pem,
        }
    }
}

fn issuer(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// Returns a configuration with a certificate for `host` that is valid until `year` begins.
fn config(issuer: &Issuer<'static, KeyPair>, host: &str, year: i32) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(config)
}
