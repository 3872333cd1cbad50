//! The input of a conversion besides the text, and the reason why an object is not a row.

/// The values that all rows of a sync share.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The Prefect Cloud workspace; `None` for a self-hosted server.
    pub workspace_id: Option<String>,
}

/// The reason why an element of a page is not a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// The element is not a JSON object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// The id is missing, null, empty or not a string.
    #[error("it has no usable id")]
    NoId,
}
