//! The differences of Prefect Cloud from a self-hosted server, according to its documentation. Undocumented behavior is
//! imitated by the worst case for a caller.

use serde_json::json;

use super::{
    auth::{Auth, unauthorized},
    limit::{Limiter, RateLimit},
    message::{ApiRequest, ApiResponse},
    model::Time,
};

/// The kind of host that serves the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Profile {
    /// A self-hosted server, which has exactly one workspace.
    #[default]
    SelfHosted,
    /// Prefect Cloud: one workspace among others, under an address of its own.
    Cloud(Cloud),
}

/// A workspace of Prefect Cloud. Endpoints that are not needed to read a collection are missing: the version, the
/// counts and the description of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// The account's id.
    pub account: String,
    /// The workspace's id.
    pub workspace: String,
    /// The rate limit of the account.
    pub limit: RateLimit,
}

impl Default for Cloud {
    fn default() -> Self {
        Self {
            account: "0a111111-1111-4111-8111-111111111111".to_owned(),
            workspace: "0b222222-2222-4222-8222-222222222222".to_owned(),
            limit: RateLimit::HOBBY,
        }
    }
}

/// Splits `/accounts/…/workspaces/…` into the two ids and the rest of the path.
fn address(path: &str) -> Option<(&str, &str, &str)> {
    let (account, rest) = path.strip_prefix("/accounts/")?.split_once('/')?;
    let rest = rest.strip_prefix("workspaces/")?;
    let (workspace, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((account, workspace, rest))
}

impl Profile {
    /// Returns the part of a path below the workspace's address, or `None` if the path is not below it.
    ///
    /// A self-hosted server accepts any ids in the address, so that a demo may look like Prefect Cloud.
    pub(super) fn within<'a>(&self, path: &'a str) -> Option<&'a str> {
        let address = address(path);
        match self {
            Self::SelfHosted => Some(address.map_or(path, |(_, _, rest)| rest)),
            Self::Cloud(cloud) => address
                .filter(|(account, workspace, _)| {
                    (*account, *workspace) == (&cloud.account, &cloud.workspace)
                })
                .map(|(_, _, rest)| rest),
        }
    }
}

/// Returns true if Prefect Cloud lacks an endpoint of self-hosted servers. Those endpoints help a reader but return no
/// rows.
pub fn is_missing(path: &str) -> bool {
    const ALONE: [&str; 6] = [
        "/openapi.json",
        "/version",
        "/hello",
        "/health",
        "/ready",
        "/csrf-token",
    ];
    ALONE.contains(&path) || path.starts_with("/admin/") || path.ends_with("/count")
}

/// The checks before a workspace of Prefect Cloud.
#[derive(Debug)]
pub(super) struct Gate(Limiter);

impl Gate {
    /// Creates the checks that a profile requires.
    pub(super) fn for_profile(profile: &Profile) -> Option<Self> {
        match profile {
            Profile::SelfHosted => None,
            Profile::Cloud(cloud) => Some(Self(Limiter::new(cloud.limit))),
        }
    }

    /// Returns the response to a request that must not reach the workspace.
    pub(super) fn refuse(
        &mut self,
        auth: &Auth,
        now: Time,
        request: &ApiRequest,
    ) -> Option<ApiResponse> {
        if let Some(refused) = unauthorized(auth, request.authorization.as_deref()) {
            return Some(refused);
        }
        if let Err(wait) = self.0.admit(now) {
            let mut response = ApiResponse::json(429, &json!({ "detail": "Rate limit exceeded" }));
            response
                .headers
                .push(("retry-after", self.0.spell(wait, now)));
            return Some(response);
        }
        if request.method == "POST" && request.content_length.is_none() {
            return Some(ApiResponse::json(
                411,
                &json!({ "detail": "Length Required" }),
            ));
        }
        (request.elsewhere || is_missing(&request.path)).then(ApiResponse::unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_found_below_its_own_ids_only() {
        let cloud = Cloud {
            account: "a".to_owned(),
            workspace: "w".to_owned(),
            ..Cloud::default()
        };
        let profile = Profile::Cloud(cloud);
        let own = Profile::SelfHosted;
        for (path, in_cloud, in_own) in [
            (
                "/accounts/a/workspaces/w/flows/filter",
                Some("/flows/filter"),
                Some("/flows/filter"),
            ),
            ("/accounts/a/workspaces/w", Some(""), Some("")),
            (
                "/accounts/a/workspaces/other/flows/filter",
                None,
                Some("/flows/filter"),
            ),
            (
                "/accounts/other/workspaces/w/flows/filter",
                None,
                Some("/flows/filter"),
            ),
            ("/accounts/a/w", None, Some("/accounts/a/w")),
            ("/flows/filter", None, Some("/flows/filter")),
        ] {
            assert_eq!(profile.within(path), in_cloud, "{path}");
            assert_eq!(own.within(path), in_own, "{path}");
        }
    }
}
