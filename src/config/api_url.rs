//! The address of a Prefect API, normalised.

use std::{fmt, str::FromStr};

use url::{Host, Url};

/// The host of Prefect Cloud's API.
const CLOUD_API: &str = "api.prefect.cloud";
/// The host of Prefect Cloud's web pages.
const CLOUD_PAGES: &str = "app.prefect.cloud";
/// The first segments of the paths of a server's web pages.
const PAGES: &[&str] = &[
    "automations",
    "blocks",
    "concurrency-limits",
    "dashboard",
    "deployments",
    "events",
    "flow-runs",
    "flows",
    "runs",
    "settings",
    "task-runs",
    "variables",
    "work-pools",
    "work-queues",
];

/// The root address of a Prefect API, without a trailing slash and without credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiUrl {
    url: Url,
    given: Given,
}

/// The kind of address from which the address of the API follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    /// The address of the API.
    Api,
    /// An address without a path.
    Host,
    /// The address of a web page, as the browser shows it.
    Page,
}

impl ApiUrl {
    /// Returns the reason why the address differs from the given one, if it does.
    pub(super) fn correction(&self) -> Option<&'static str> {
        match self.given {
            Given::Api => None,
            Given::Host => Some("had no path: /api was added"),
            Given::Page => Some("was the address of a web page"),
        }
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

    /// Parses the address of an API or of a web page of Prefect. The error messages never repeat the input, which may
    /// contain a password.
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
        let given = if let Some(api) = api_of_page(&url) {
            url = api;
            Given::Page
        } else if url.query().is_some() || url.fragment().is_some() {
            return Err("must not contain a query (?) or a fragment (#)".to_owned());
        } else if url.path().trim_matches('/').is_empty() {
            url.set_path("/api");
            Given::Host
        } else {
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(&path);
            Given::Api
        };
        let url = Self { url, given };
        url.check_cloud()?;
        Ok(url)
    }
}

impl ApiUrl {
    /// Checks that an address on Prefect Cloud is that of a workspace, because only those have an API to read.
    fn check_cloud(&self) -> Result<(), String> {
        let host = self.host();
        if host != CLOUD_API && host != CLOUD_PAGES {
            return Ok(());
        }
        let segments: Vec<&str> = self
            .url
            .path_segments()
            .map(Iterator::collect)
            .unwrap_or_default();
        match segments.as_slice() {
            ["api", "accounts", account, "workspaces", workspace]
                if host == CLOUD_API && !account.is_empty() && !workspace.is_empty() =>
            {
                Ok(())
            }
            _ => Err(
                "for Prefect Cloud it must be the address of a workspace in the browser, or have the form \
                 https://api.prefect.cloud/api/accounts/<account id>/workspaces/<workspace id>"
                    .to_owned(),
            ),
        }
    }
}

/// Returns the address of the API to which a web page belongs; `None` if the address is not that of a known page.
fn api_of_page(page: &Url) -> Option<Url> {
    let segments: Vec<&str> = page.path_segments()?.collect();
    let path = if page.host_str() == Some(CLOUD_PAGES) {
        let ["account", account, "workspace", workspace, ..] = segments.as_slice() else {
            return None;
        };
        if account.is_empty() || workspace.is_empty() {
            return None;
        }
        format!("/api/accounts/{account}/workspaces/{workspace}")
    } else {
        let (first, _) = segments.split_first()?;
        // Older servers have their pages below /ui.
        let is_page = PAGES.contains(first) || *first == "ui";
        (is_page && page.host_str() != Some(CLOUD_API)).then(|| "/api".to_owned())?
    };
    let mut api = page.clone();
    api.set_query(None);
    api.set_fragment(None);
    api.set_path(&path);
    if page.host_str() == Some(CLOUD_PAGES) {
        api.set_host(Some(CLOUD_API)).ok()?;
    }
    Some(api)
}
