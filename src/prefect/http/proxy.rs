//! The proxy that the machine's environment names for a server.
//!
//! The variables are `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, also in lower case, as the HTTP library
//! reads them.

use hyper_util::client::proxy::matcher::Matcher;

use super::response::{Response, is_prefects_refusal};
use crate::{
    config::ApiUrl,
    prefect::{Error, ProxyRefusal},
};
use reqwest::StatusCode;

/// The proxy through which a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    /// Host and port, without credentials.
    pub(super) address: String,
    /// True if the connection to the proxy itself uses TLS.
    pub(super) uses_tls: bool,
}

impl Proxy {
    /// Returns the proxy for a server. A server on this machine is never reached through a proxy.
    pub(super) fn of(api_url: &ApiUrl) -> Option<Self> {
        if api_url.is_on_this_machine() {
            return None;
        }
        let server = api_url.join("").parse().ok()?;
        let proxy = Matcher::from_system().intercept(&server)?;
        let address = proxy.uri().authority()?.as_str();
        let address = address.rsplit('@').next().unwrap_or_default().to_owned();
        Some(Self {
            address,
            uses_tls: proxy.uri().scheme_str() == Some("https"),
        })
    }

    /// Returns the error of a response that the proxy itself sent because it refuses the request.
    ///
    /// With `http://` the response to a request may be the proxy's. A refusal by Prefect is a JSON object.
    pub(super) fn refusal(&self, host: &str, response: &Response) -> Option<Error> {
        let why = match response.status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => ProxyRefusal::Credentials,
            StatusCode::FORBIDDEN if !is_prefects_refusal(&response.body) => {
                ProxyRefusal::Forbidden
            }
            _ => return None,
        };
        Some(self.error(host, why))
    }

    /// Returns the error of a refusal.
    pub(super) fn error(&self, host: &str, why: ProxyRefusal) -> Error {
        Error::Proxy {
            proxy: self.address.clone(),
            host: host.to_owned(),
            why,
        }
    }
}
