//! The executable against real Prefect servers. The warehouse is compared with the API, value by value.

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
