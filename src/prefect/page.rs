//! The response to a listing.

use chrono::{DateTime, Utc};

/// The response to a listing.
#[derive(Debug)]
pub struct ListResponse<T> {
    /// The page, in the form that the caller's reader returns.
    pub page: T,
    /// The server's clock at the time of the response (`Date` header, whole seconds). `None` if the header is
    /// missing or unreadable, for example because a proxy removed it.
    pub server_time: Option<DateTime<Utc>>,
}
