//! Certificates of a certificate authority of the user's own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::str::FromStr;

/// Certificates to trust besides the usual ones, each in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificates(Vec<Vec<u8>>);

impl CaCertificates {
    /// The certificates, in DER.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl FromStr for CaCertificates {
    type Err = String;

    /// Parses a PEM file, or its base64, which is how Fivetran sends an uploaded file.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pem = if text.contains("-----BEGIN") {
            text.as_bytes().to_vec()
        } else {
            let packed: String = text.split_ascii_whitespace().collect();
            STANDARD.decode(packed).map_err(|_| {
                "must be a PEM file (starting with -----BEGIN CERTIFICATE-----) or its base64 encoding"
                    .to_owned()
            })?
        };
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem)
            .map(|der| der.map(|der| der.to_vec()))
            .collect();
        match found {
            Ok(list) if !list.is_empty() => Ok(Self(list)),
            Ok(_) => Err(
                "contains no certificate: a PEM file with -----BEGIN CERTIFICATE----- is required"
                    .to_owned(),
            ),
            Err(_) => Err("is not a valid PEM file".to_owned()),
        }
    }
}
