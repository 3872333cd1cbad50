//! The executable against real Prefect servers, compared value by value with what they say.

mod ages;
mod deeds;
mod documented;
mod left_out;
mod poison;
mod protected;
mod repaired;
mod story;
mod upgraded;
mod watch;
mod whole;
mod without_end;
