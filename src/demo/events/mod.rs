//! The feed of events: what is told when a run changes its state, and how it is read.

pub mod feed;
pub mod tell;
