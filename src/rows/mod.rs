//! A JSON object becomes a typed row: pure, and nothing is lost.
//!
//! [`PageReader`] finds in one pass where the values of a page stand; a [`Row`] reads its own when
//! somebody asks. [`mod@reference`] says the same slowly and plainly.

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
pub use page::{Page, PageReader};
pub use parts::Parts;
pub use row::Row;
pub use second::SecondRows;
pub use value::{Misfit, Value, ValueRef};

/// What every row of a sync shares.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The Prefect Cloud workspace; `None` for a self-hosted server.
    pub workspace_id: Option<String>,
}

/// An element of a page that cannot become a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// Not a JSON object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// The id is missing, null, empty or not a string.
    #[error("it has no usable id")]
    NoId,
}
