//! The types that describe listing requests as data: filters, sorts and their columns.

use super::filter::{Arg, Field, Key};

/// A filter object in a body.
#[derive(Debug, Clone, Copy)]
pub struct FilterObject {
    /// The key of the object in the body.
    pub name: &'static str,
    /// The keys inside the object, of all releases together.
    pub keys: &'static [Key],
}

/// The description of a listing request.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The key of the collection's own filter object, even if the collection has none.
    pub name: &'static str,
    /// The filter objects that are supported.
    pub filters: &'static [FilterObject],
    /// The sorts that a request may name; if there are none, `sort` is ignored.
    pub sorts: &'static [Sort],
    /// The order of a request that names none.
    pub order: Sort,
    /// The filter objects that Prefect supports and this fake rejects.
    pub elsewhere: &'static [&'static str],
}

pub(super) const fn filter_object(name: &'static str, keys: &'static [Key]) -> FilterObject {
    FilterObject { name, keys }
}

pub(super) const fn key(name: &'static str, arg: Arg) -> Key {
    Key {
        name,
        field: None,
        arg,
    }
}

pub(super) const fn field_key(name: &'static str, field: Field, keys: &'static [Key]) -> Key {
    Key {
        name,
        field: Some(field),
        arg: Arg::Group(keys),
    }
}

/// A value that rows can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is Prefect's column of that name")]
pub enum Column {
    Id,
    Name,
    Created,
    Updated,
    StartTime,
    ExpectedStartTime,
    NextScheduledStartTime,
    EndTime,
    Duration,
    /// The text at this path; see [`Field::Value`].
    Text(&'static str),
    /// The texts at these paths, concatenated.
    Texts(&'static str, &'static str),
    /// The time at this path.
    Moment(&'static str),
}

impl Column {
    /// Returns the filter column that has the same values, for a column of times.
    pub const fn field(self) -> Option<Field> {
        match self {
            Self::StartTime => Some(Field::StartOrExpected),
            Self::ExpectedStartTime => Some(Field::ExpectedStartTime),
            Self::NextScheduledStartTime => Some(Field::NextScheduledStartTime),
            Self::EndTime => Some(Field::EndTime),
            Self::Moment(place) => Some(Field::Value(place)),
            _ => None,
        }
    }
}

/// A sort.
#[derive(Debug, Clone, Copy)]
pub struct Sort {
    /// The name in the API.
    pub name: &'static str,
    /// The column to sort by.
    pub column: Column,
    /// True if the largest value comes first.
    pub descending: bool,
}

pub(super) const fn sort(name: &'static str, column: Column, descending: bool) -> Sort {
    Sort {
        name,
        column,
        descending,
    }
}
