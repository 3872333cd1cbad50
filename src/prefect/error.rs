//! Errors between the connector and a Prefect server, with messages that a user can act on.

use std::{error::Error as StdError, io};

use crate::{
    error::ErrorClass,
    messages::{self, Message},
};

/// The failure of a request that returned no usable response.
///
/// The messages name host and path, never credentials, queries or bodies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No response arrived.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The host of the API.
        host: String,
        /// The reason.
        why: Unreachable,
    },
    /// A proxy does not pass the request on.
    #[error("the proxy {proxy} {why} {host} to NO_PROXY")]
    Proxy {
        /// The proxy's host and port.
        proxy: String,
        /// The host of the API.
        host: String,
        /// The reason.
        why: ProxyRefusal,
    },
    /// Status 401: the server rejects the credentials.
    #[error(
        "{host} does not accept the credentials (401). Check the API key (Prefect Cloud) or the auth string (self-hosted)"
    )]
    Unauthorized {
        /// The host of the API.
        host: String,
    },
    /// Status 403: the server denies access to the path.
    #[error(
        "{host} denies access to {path} (403{detail}). Grant the key's owner read access to it, or deselect the table"
    )]
    Forbidden {
        /// The host of the API.
        host: String,
        /// The requested path.
        path: String,
        /// The server's description, with a leading colon; may be empty.
        detail: String,
    },
    /// Status 404: the address does not exist.
    #[error(
        "{url} does not exist (404). Check the API URL. For Prefect Cloud it has the form https://api.prefect.cloud/api/accounts/<account id>/workspaces/<workspace id> (a workspace that the key may not see causes the same error); for a self-hosted server it is the server's address followed by /api, such as https://prefect.example.com/api"
    )]
    NotFound {
        /// The requested URL.
        url: String,
    },
    /// A redirect, such as to a login page.
    #[error(
        "{host} redirects to {target} instead of responding ({status}). Use the address of the API itself, with https:// if the server requires it"
    )]
    Redirected {
        /// The host of the API.
        host: String,
        /// The scheme and host of the redirect's target.
        target: String,
        /// The status.
        status: u16,
    },
    /// A response that is not JSON, or not the expected JSON.
    #[error("{url} does not respond like a Prefect API ({why}). Check the API URL")]
    NotPrefect {
        /// The requested URL.
        url: String,
        /// A description of the response.
        why: String,
    },
    /// A page larger than the server allows (422) or than the connector reads.
    #[error("the server allows at most {max} objects per page")]
    LimitTooLarge {
        /// The largest page that may be requested instead.
        max: u32,
    },
    /// A response larger than the connector holds in memory.
    #[error(
        "{path} returns more than 64 MiB even for two objects. Check that the API URL leads to Prefect itself, and whether an object there has very large parameters or labels"
    )]
    TooLarge {
        /// The requested path.
        path: String,
    },
    /// Another 4xx: the server does not accept the request itself.
    #[error(
        "{path} was rejected ({status}{detail}). The server may be older or newer than the connector supports; please report it"
    )]
    Rejected {
        /// The requested path.
        path: String,
        /// The status.
        status: u16,
        /// The server's description or the field that the server names, with a leading colon; may be empty.
        detail: String,
    },
    /// Status 422 caused by the user's own filter.
    #[error("configuration field `filter`: `{field}` {why}")]
    Filter {
        /// The field of the filter, with the path of the objects that contain the field.
        field: String,
        /// The problem with the field.
        why: String,
    },
    /// Status 429 for longer than the connector waits.
    #[error("{host} limits the request rate (429) and did not accept the request in time")]
    RateLimited {
        /// The host of the API.
        host: String,
    },
    /// Status 408, 425 or 5xx after all tries.
    #[error("{path} failed on the server ({status}) after {tries} tries")]
    Server {
        /// The requested path.
        path: String,
        /// The last status.
        status: u16,
        /// The number of tries.
        tries: u32,
    },
    /// The client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

/// The reason why a proxy does not pass a request on. The text ends where the host follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyRefusal {
    /// The proxy requires credentials, or rejects those that it received.
    #[error(
        "requires credentials (407). Add them to the variable that names the proxy, such as HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, or add"
    )]
    Credentials,
    /// The proxy does not allow the server.
    #[error("does not allow the request (403). Allow the API's host in the proxy, or add")]
    Forbidden,
}

/// The reason why no response arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The host name does not resolve.
    #[error("the host name is not known. Check the API URL's spelling")]
    UnknownHost,
    /// The connection is refused, for example because no server listens on the port.
    #[error(
        "the connection is refused. Check the port, and that the server runs and accepts connections from here"
    )]
    Refused,
    /// The certificate is invalid, or the handshake failed.
    #[error(
        "the TLS connection fails. Check https/http in the API URL, and that the server's certificate is valid for this host"
    )]
    Tls,
    /// A proxy does not connect to the server.
    #[error(
        "the proxy does not connect to it. Check that the proxy allows this host and reaches it, and the variables HTTPS_PROXY and NO_PROXY"
    )]
    Proxy,
    /// A proxy requires credentials before it connects to the server.
    #[error("the proxy requires credentials (407)")]
    ProxyCredentials,
    /// The response is not HTTP.
    #[error("it does not respond with HTTP. Check the port, and https/http in the API URL")]
    NotHttp,
    /// The server did not respond in time.
    #[error(
        "no response in time. Check that the address is reachable from here (firewall, private network)"
    )]
    Timeout,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
}

impl Error {
    /// Returns the documented message to which the error belongs.
    pub fn message(&self) -> &'static Message {
        match self {
            Self::Unreachable { .. } => &messages::UNREACHABLE,
            Self::Proxy { .. } => &messages::PROXY,
            Self::RateLimited { .. } => &messages::RATE_LIMITED,
            Self::Server { .. } => &messages::SERVER_FAILS,
            Self::LimitTooLarge { .. } => &messages::PAGE_TOO_LARGE,
            Self::Unauthorized { .. } => &messages::CREDENTIALS,
            Self::Forbidden { .. } => &messages::ACCESS,
            Self::NotFound { .. } => &messages::NOT_THERE,
            Self::Redirected { .. } => &messages::REDIRECTED,
            Self::NotPrefect { .. } => &messages::NOT_PREFECT,
            Self::TooLarge { .. } => &messages::ANSWER_TOO_LARGE,
            Self::Rejected { .. } => &messages::REFUSED,
            Self::Filter { .. } => &messages::CONFIGURATION,
            Self::Setup(_) => &messages::SETUP,
        }
    }

    /// Returns the class of the error, which decides who must act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::LimitTooLarge { .. } => ErrorClass::Transient,
            Self::Proxy { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Redirected { .. }
            | Self::NotPrefect { .. }
            | Self::Filter { .. }
            | Self::TooLarge { .. } => ErrorClass::UserMustAct,
            Self::Rejected { .. } | Self::Setup(_) => ErrorClass::Bug,
        }
    }
}

impl Unreachable {
    /// Derives the reason from the chain of causes of `error`.
    pub(super) fn from_reqwest(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        if error.is_dns() {
            return Self::UnknownHost;
        }
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(current) = cause {
            if current.is::<rustls::Error>() {
                return Self::Tls;
            }
            // The type of the error of a proxy's tunnel is private in its library.
            match current.to_string().strip_prefix("tunnel error: ") {
                Some("proxy authorization required") => return Self::ProxyCredentials,
                Some("unsuccessful") => return Self::Proxy,
                _ => {}
            }
            if current
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_parse)
            {
                return Self::NotHttp;
            }
            let io = current.downcast_ref::<io::Error>();
            if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
                return Self::Refused;
            }
            // `source` of an I/O error skips the inner error and returns its cause: check the inner error first.
            let inside = io.and_then(io::Error::get_ref);
            cause = match inside {
                Some(inside) => Some(inside),
                None => current.source(),
            };
        }
        Self::Broken
    }
}
