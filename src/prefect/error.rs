//! What can go wrong between the connector and a Prefect server, in words a person can act on.

use std::{error::Error as StdError, io};

use crate::{
    error::Class,
    messages::{self, Message},
};

/// A request that brought no usable answer.
///
/// The texts name host and path, never credentials, queries or bodies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No answer arrived.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The host asked.
        host: String,
        /// In which way.
        why: Unreachable,
    },
    /// 401.
    #[error(
        "{host} does not accept the credentials (401). Check the API key (Prefect Cloud) or the auth string (self-hosted)"
    )]
    Unauthorized {
        /// The host asked.
        host: String,
    },
    /// 403.
    #[error(
        "{host} refuses to show {path} (403{detail}). Grant the key's owner read access to it, or deselect the table"
    )]
    Forbidden {
        /// The host asked.
        host: String,
        /// What was asked for.
        path: String,
        /// The server's words, with a leading colon; may be empty.
        detail: String,
    },
    /// 404.
    #[error(
        "{url} does not exist (404). Check the API URL. For Prefect Cloud it has the form https://api.prefect.cloud/api/accounts/<account id>/workspaces/<workspace id> (a workspace that the key may not see looks like this, too); for a self-hosted server it is the server's address followed by /api, such as https://prefect.example.com/api"
    )]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// A redirect, such as to a login page.
    #[error(
        "{host} redirects to {target} instead of answering ({status}). Use the address of the API itself, with https:// where the server asks for it"
    )]
    Redirected {
        /// The host asked.
        host: String,
        /// Scheme and host redirected to.
        target: String,
        /// The status.
        status: u16,
    },
    /// An answer that is not JSON, or not the JSON asked for.
    #[error("{url} does not answer like a Prefect API ({why}). Check the API URL")]
    NotPrefect {
        /// What was asked for.
        url: String,
        /// What came instead.
        why: String,
    },
    /// 422 because the page is larger than the server allows.
    #[error("the server allows at most {max} objects a page")]
    LimitTooLarge {
        /// The server's limit.
        max: u32,
    },
    /// More than the connector is ready to hold in memory.
    #[error(
        "{path} answers with more than 64 MiB, even for two objects. Check that the API URL leads to Prefect itself, and whether an object there has very large parameters or labels"
    )]
    TooLarge {
        /// What was asked for.
        path: String,
    },
    /// Another 4xx: the request itself is not understood.
    #[error(
        "{path} was refused ({status}{detail}). This server may be older or newer than the connector knows; please report it"
    )]
    Rejected {
        /// What was asked for.
        path: String,
        /// The status.
        status: u16,
        /// The server's words or the field it names, with a leading colon; may be empty.
        detail: String,
    },
    /// 422 because of the user's own filter.
    #[error("configuration field `filter`: `{field}` {why}")]
    Filter {
        /// The field of the filter, with those that it stands in.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// 429 for longer than patience lasts.
    #[error("{host} limits the rate of requests (429) and did not give way in time")]
    RateLimited {
        /// The host asked.
        host: String,
    },
    /// 408 or 5xx after all tries.
    #[error("{path} failed on the server ({status}) after {tries} tries")]
    Server {
        /// What was asked for.
        path: String,
        /// The last status.
        status: u16,
        /// How often it was tried.
        tries: u32,
    },
    /// The client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

/// Why no answer arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The name does not resolve.
    #[error("the host name is not known. Check the API URL's spelling")]
    UnknownHost,
    /// Nothing listens there.
    #[error(
        "the connection is refused. Check the port, and that the server runs and accepts connections from here"
    )]
    Refused,
    /// The certificate, or the handshake.
    #[error(
        "the TLS connection fails. Check https/http in the API URL, and that the server's certificate is valid for this host"
    )]
    Tls,
    /// What comes is no HTTP.
    #[error("it does not answer in HTTP. Check the port, and https/http in the API URL")]
    NotHttp,
    /// Too slow.
    #[error(
        "no answer in time. Check that the address is reachable from here (firewall, private network)"
    )]
    Timeout,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
}

impl Error {
    /// Which message it is.
    pub fn message(&self) -> &'static Message {
        match self {
            Self::Unreachable { .. } => &messages::UNREACHABLE,
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

    /// Who must hear of it.
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::LimitTooLarge { .. } => Class::Transient,
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Redirected { .. }
            | Self::NotPrefect { .. }
            | Self::Filter { .. }
            | Self::TooLarge { .. } => Class::UserMustAct,
            Self::Rejected { .. } | Self::Setup(_) => Class::Bug,
        }
    }
}

impl Unreachable {
    /// Tells why `error` happened from the errors that caused it.
    pub(super) fn of(error: &reqwest::Error) -> Self {
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
            // An I/O error names as its source what causes the error inside it: look inside first.
            let inside = io.and_then(io::Error::get_ref);
            cause = match inside {
                Some(inside) => Some(inside),
                None => current.source(),
            };
        }
        Self::Broken
    }
}
