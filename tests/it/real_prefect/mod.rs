//! The executable against real Prefect servers. The warehouse is compared with the API, value by value.

mod ages;
mod documented;
mod left_out;
mod protected;
mod repaired;
mod scenario;
mod scheduled;
mod source_changes;
mod unreadable_run;
mod upgraded;
mod watch;
mod whole;
mod without_end;
