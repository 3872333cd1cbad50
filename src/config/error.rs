//! The reason why a configuration cannot be used.

/// A configuration that cannot be used. The message names the field and the allowed values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A required field is empty.
    #[error("configuration field `{0}` is missing: fill it in")]
    Missing(&'static str),
    /// A field's value is not allowed.
    #[error("configuration field `{field}`: {why}")]
    Invalid {
        /// The field.
        field: String,
        /// The allowed values, without the given value if that may be secret.
        why: String,
    },
}

impl ConfigError {
    pub(super) fn invalid(field: &str, why: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.to_owned(),
            why: why.into(),
        }
    }
}
