//! The executable against real Prefect servers, compared value by value with what they say.

mod ages;
mod deeds;
mod poison;
mod protected;
mod story;
mod watch;
mod whole;
