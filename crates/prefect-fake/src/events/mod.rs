//! Events: their creation when a run changes its state, and their listing.

pub mod feed;
pub mod state_events;
