//! Conversion of JSON objects into typed rows: pure, and without loss of data.
//!
//! [`PageReader`] locates the values of a page in one pass; a [`Row`] parses its values on first access.
//! [`mod@reference`] is a simple and slow implementation of the same conversion.

mod cell;
mod events;
mod fingerprint;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod layout;
mod number;
mod page;
mod parts;
pub mod reference;
mod row;
mod scan;
mod second;
#[cfg(test)]
mod tests;
mod value;

pub use fingerprint::{fingerprint, hash_name};
pub use page::{PageReader, ParsedPage};
pub use parts::Parts;
pub use row::Row;
pub use second::SecondRows;
pub use value::{Misfit, Value, ValueRef};

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
