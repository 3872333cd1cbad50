//! The collections whose objects have no lives of their own: what is put in is what is listed.
//!
//! | module | what it is |
//! |---|---|
//! | [`spec`] | each collection as data: its address, filters, sorts, and what single objects are asked by |
//! | [`object`] | an object: an id, two times and JSON |
//! | [`changes`] | what can be done to them |
//! | [`query`], [`show`] | listings, numbers, single objects; their shape in each release |

pub mod changes;
mod keys;
pub mod object;
pub mod query;
pub mod show;
pub mod spec;

pub use self::{
    object::{Plain, Plains},
    spec::{Get, PlainCollection, Spec},
};
