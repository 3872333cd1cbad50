//! The description of a generic collection.

use crate::listing_spec::{Form, Sort};

/// The way in which single objects are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Get {
    /// Single objects cannot be requested.
    No,
    /// By id.
    Id,
    /// By name.
    Name,
    /// By id or by name.
    IdOrName,
}

/// The error for an object that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// `{"detail": …}`
    Detail(&'static str),
    /// `{"exception_message": …}`
    Exception(&'static str),
    /// `{"detail": …}` with the pool's name.
    Pool,
}

/// A generic collection.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The path, without surrounding slashes, with `{}` in place of names.
    pub path: &'static str,
    /// True if `routes` handles the requests of this collection separately.
    pub special: bool,
    /// The name of one object, for messages.
    pub noun: &'static str,
    /// The error for an object that does not exist.
    pub missing: Missing,
    /// The description of a listing request.
    pub form: Form,
    /// True if the collection has a count endpoint.
    pub count: bool,
    /// The way in which single objects are requested.
    pub get: Get,
    /// True if a path with a malformed id is unknown in 2.x too.
    pub typed: bool,
    /// The paths of times other than `created` and `updated`.
    pub times: &'static [&'static str],
    /// The keys that exist only in 3.x.
    pub third: &'static [&'static str],
    /// A flag; listings omit objects that have it unless the filter mentions it.
    pub hidden: Option<&'static str>,
    /// Objects of the demo workspace as JSON, without ids and times, if no other module generates some.
    pub samples: &'static [&'static str],
}

pub(super) const fn form(name: &'static str, sorts: &'static [Sort], order: Sort) -> Form {
    Form {
        name,
        filters: &[],
        sorts,
        order,
        elsewhere: &[],
    }
}

pub(super) const fn spec(path: &'static str, noun: &'static str, form: Form) -> Spec {
    Spec {
        path,
        special: false,
        noun,
        missing: Missing::Detail(""),
        form,
        count: false,
        get: Get::Id,
        typed: false,
        times: &[],
        third: &[],
        hidden: None,
        samples: &[],
    }
}
