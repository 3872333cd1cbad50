//! Gaps: objects of a listing for which the server returns an error.
//!
//! Their positions are kept, so that pages are read around gaps with few requests, and the objects are sent as soon as
//! they can be read.

mod between;
mod gap;
mod page;
mod search;

pub(crate) use self::{between::Between, gap::Gap};
pub(super) use self::{
    between::{Side, is_one, one},
    gap::{add, are_same, note_readings, objects, side_of_others},
    page::{of_page, of_page_by_time, on_page},
    search::{ProbeResult, Search, SearchResult},
};
