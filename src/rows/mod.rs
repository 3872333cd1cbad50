//! Conversion of JSON objects into typed rows: pure, and without loss of data.
//!
//! [`PageReader`] locates the values of a page in one pass and checks their types; a [`Row`] parses them on access.
//! `reference` is a simple and slow implementation of the same conversion, which only tests and fuzzing contain.

mod cell;
mod context;
mod events;
mod fast_json_hash;
mod fast_scan;
mod field_path;
mod fingerprint;
mod first_element;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz_api;
mod json_cursor;
mod json_hash;
mod layout;
mod nested_rows;
mod number;
mod page;
mod page_buffer;
#[cfg(any(test, feature = "fuzzing"))]
pub mod reference;
mod row;
mod scan;
mod second;
#[cfg(test)]
mod tests;
mod value;

pub use context::{BadRow, Context};
pub use fingerprint::{fingerprint, hash_name};
pub use nested_rows::NestedRows;
pub use page::{PageReader, ParsedPage};
pub use row::Row;
pub use second::SecondRows;
pub use value::{Misfit, Value, ValueRef};
