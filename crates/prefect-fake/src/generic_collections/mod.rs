//! The collections without rules of their own: objects are listed as they were inserted.
//!
//! | module | content |
//! |---|---|
//! | [`collections`] | each collection as data: its path, filters, sorts, and the key of single objects |
//! | [`spec`] | the types of that data |
//! | [`object`] | an object: an id, two times and JSON |
//! | [`changes`] | changes of objects |
//! | [`query`], [`render`] | listings, counts and single objects; their shape in each release |

pub mod changes;
pub mod collections;
mod keys;
pub mod object;
pub mod query;
pub mod render;
pub mod spec;

pub use self::{
    collections::GenericCollection,
    object::{GenericObject, GenericObjects},
    spec::{Get, Spec},
};
