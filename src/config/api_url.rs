//! The address of a Prefect API, normalised.

use std::{fmt, str::FromStr};

use url::{Host, Url};

/// The root address of a Prefect API, without a trailing slash and without credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiUrl {
    url: Url,
    api_was_added: bool,
}

impl ApiUrl {
    /// Returns true if the address had no path, so that `/api` was added.
    pub(super) fn api_was_added(&self) -> bool {
        self.api_was_added
    }

    /// Returns the address of `path`, which must start with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// Returns the ids of the account and the workspace, on Prefect Cloud.
    pub fn cloud_ids(&self) -> Option<(&str, &str)> {
        let mut segments = self.url.path_segments()?;
        segments.find(|segment| *segment == "accounts")?;
        let account = segments.next()?;
        (segments.next()? == "workspaces").then_some(())?;
        Some((account, segments.next()?))
    }

    /// Returns a text that identifies the workspace and is not secret.
    pub fn identity(&self) -> String {
        match self.cloud_ids() {
            Some((account, workspace)) => format!("cloud:{account}/{workspace}"),
            None => self.to_string(),
        }
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns true if the address begins with `https`.
    pub fn uses_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns true if the server is on this machine, so that no network is involved.
    pub fn is_on_this_machine(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiUrl({self})")
    }
}

impl FromStr for ApiUrl {
    type Err = String;

    /// Parses an address. The error messages never repeat the input, which may contain a password; only the ids of
    /// a Prefect Cloud page are repeated.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url = Url::parse(text).map_err(|_| {
            "must be a URL such as https://prefect.example.com/api or \
             https://api.prefect.cloud/api/accounts/.../workspaces/..."
                .to_owned()
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err("must start with https:// (or http://) and contain a host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "must not contain a user name or password; use the field auth_string".to_owned(),
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not contain a query (?) or a fragment (#)".to_owned());
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let api_was_added = path.is_empty();
        url.set_path(if api_was_added { "/api" } else { &path });
        let url = Self { url, api_was_added };
        url.check_cloud()?;
        Ok(url)
    }
}

impl ApiUrl {
    /// Checks that an address on Prefect Cloud is that of a workspace, because only those have an API to read.
    fn check_cloud(&self) -> Result<(), String> {
        let host = self.host();
        if host != "api.prefect.cloud" && host != "app.prefect.cloud" {
            return Ok(());
        }
        let form = |account: &str, workspace: &str| {
            format!("https://api.prefect.cloud/api/accounts/{account}/workspaces/{workspace}")
        };
        let segments: Vec<&str> = self
            .url
            .path_segments()
            .map(Iterator::collect)
            .unwrap_or_default();
        match segments.as_slice() {
            ["account", account, "workspace", workspace, ..] => Err(format!(
                "this is the address of Prefect Cloud's web pages; the address of the API is {}",
                form(account, workspace)
            )),
            ["api", "accounts", account, "workspaces", workspace]
                if host == "api.prefect.cloud" && !account.is_empty() && !workspace.is_empty() =>
            {
                Ok(())
            }
            _ => Err(format!(
                "for Prefect Cloud it must have the form {}",
                form("<account id>", "<workspace id>")
            )),
        }
    }
}
