//! An answered listing.

use chrono::{DateTime, Utc};

/// What the server answered to a listing.
#[derive(Debug)]
pub struct Listed<T> {
    /// The page, as the caller reads pages.
    pub page: T,
    /// The server's clock when it answered (`Date` header, whole seconds); `None` when something on
    /// the way took it out.
    pub server_time: Option<DateTime<Utc>>,
}
