//! Prefect Cloud, where it differs from a self-hosted server. From its documentation; where that is silent, the
//! worst that a caller may meet.

use serde_json::json;

use super::{
    front::{Answer, Asked, Auth, unauthorized},
    limit::{Limiter, RateLimit},
    model::Time,
};

/// Who serves the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Profile {
    /// A server of one's own: the workspace is all there is.
    #[default]
    SelfHosted,
    /// Prefect Cloud: one workspace among others, below its own address.
    Cloud(Cloud),
}

/// A workspace of Prefect Cloud. It has no endpoint that is not needed to read a collection: no
/// version, no count, no description of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// The account's id.
    pub account: String,
    /// The workspace's id.
    pub workspace: String,
    /// What the account may ask.
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

/// The ids of `/accounts/…/workspaces/…` and what follows them.
fn address(path: &str) -> Option<(&str, &str, &str)> {
    let (account, rest) = path.strip_prefix("/accounts/")?.split_once('/')?;
    let rest = rest.strip_prefix("workspaces/")?;
    let (workspace, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((account, workspace, rest))
}

impl Profile {
    /// What a path asks of the workspace; `None` when it is not the workspace's.
    ///
    /// A server of one's own is found below any ids, so that a demo may look like Prefect Cloud.
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

/// Whether Prefect Cloud lacks an endpoint that a server of one's own has: those that help a reader
/// and give it no rows.
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

/// Stands before a workspace of Prefect Cloud.
#[derive(Debug)]
pub(super) struct Gate(Limiter);

impl Gate {
    /// The one that a profile asks for.
    pub(super) fn of(profile: &Profile) -> Option<Self> {
        match profile {
            Profile::SelfHosted => None,
            Profile::Cloud(cloud) => Some(Self(Limiter::new(cloud.limit))),
        }
    }

    /// What is said to a request that does not reach the workspace.
    pub(super) fn refuse(&mut self, auth: &Auth, now: Time, asked: &Asked) -> Option<Answer> {
        if let Some(refused) = unauthorized(auth, asked.authorization.as_deref()) {
            return Some(refused);
        }
        if let Err(wait) = self.0.admit(now) {
            let mut answer = Answer::json(429, &json!({ "detail": "Rate limit exceeded" }));
            answer
                .headers
                .push(("retry-after", self.0.spell(wait, now)));
            return Some(answer);
        }
        if asked.method == "POST" && asked.content_length.is_none() {
            return Some(Answer::json(411, &json!({ "detail": "Length Required" })));
        }
        (asked.elsewhere || is_missing(&asked.path)).then(Answer::unknown)
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
