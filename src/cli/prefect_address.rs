//! Parsing of addresses of Prefect that users paste.

use crate::config::ApiUrl;

/// The ids in an address of Prefect Cloud.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CloudIds {
    /// The ids of a workspace.
    Both {
        /// The account's id.
        account: String,
        /// The workspace's id.
        workspace: String,
    },
    /// Fewer than two ids.
    Incomplete,
}

/// Finds the ids of a workspace in its browser address, in its API URL, or as two separate ids.
///
/// The addresses contain `/account/…/workspace/…` and `/accounts/…/workspaces/…`.
pub(super) fn cloud_ids(text: &str) -> CloudIds {
    let is_id = |part: &&str| {
        let digits = part.split('-').map(str::len);
        digits.eq([8, 4, 4, 4, 12]) && part.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    };
    let separators = |c: char| c.is_whitespace() || "/?#,;".contains(c);
    let mut ids = text.split(separators).filter(is_id);
    match (ids.next(), ids.next()) {
        (Some(account), Some(workspace)) => CloudIds::Both {
            account: account.to_ascii_lowercase(),
            workspace: workspace.to_ascii_lowercase(),
        },
        _ => CloudIds::Incomplete,
    }
}

/// Returns the API URL of a server from a typed address. A missing scheme or `/api` is added.
pub(super) fn self_hosted(text: &str) -> Result<String, String> {
    let text = text.trim();
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url: ApiUrl = with_scheme.parse()?;
    Ok(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_found_however_it_is_pasted() {
        let (account, workspace) = (
            "0a111111-1111-4111-8111-111111111111",
            "0b222222-2222-4222-8222-222222222222",
        );
        let both = CloudIds::Both {
            account: account.into(),
            workspace: workspace.into(),
        };
        for text in [
            format!(
                "https://app.prefect.cloud/account/{account}/workspace/{workspace}/dashboard?x=1"
            ),
            format!("https://api.prefect.cloud/api/accounts/{account}/workspaces/{workspace}"),
            format!(" {} {workspace} ", account.to_uppercase()),
        ] {
            assert_eq!(cloud_ids(&text), both, "{text}");
        }
        for text in [
            "",
            account,
            "https://app.prefect.cloud",
            "a-b-c-d-e f-g-h-i-j",
        ] {
            assert_eq!(cloud_ids(text), CloudIds::Incomplete, "{text}");
        }
    }

    #[test]
    fn a_missing_scheme_or_path_of_a_server_address_is_added() {
        for (typed, url) in [
            ("localhost:4200", "http://localhost:4200/api"),
            ("http://localhost:4200/", "http://localhost:4200/api"),
            (
                "https://prefect.acme.io/api/",
                "https://prefect.acme.io/api",
            ),
            (
                "https://acme.io/tools/prefect/api",
                "https://acme.io/tools/prefect/api",
            ),
            (
                "http://127.0.0.1:4200/dashboard",
                "http://127.0.0.1:4200/api",
            ),
        ] {
            assert_eq!(self_hosted(typed), Ok(url.to_owned()), "{typed}");
        }
        for typed in ["", "ftp://a", "http://user:pass@h/api", "http://"] {
            assert!(self_hosted(typed).is_err(), "{typed}");
        }
    }
}
