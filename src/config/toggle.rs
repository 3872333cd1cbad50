//! Values that are `true` or `false`.

use std::str::FromStr;

use super::closest::not_allowed;

/// A value that is `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Toggle(pub(super) bool);

impl FromStr for Toggle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(not_allowed(text, &["true", "false"])),
        }
    }
}
