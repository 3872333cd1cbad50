//! A page of a listing.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

/// The objects of one answer, unparsed, in the server's order.
#[derive(Debug)]
pub struct Page {
    /// The objects.
    pub rows: Vec<Box<RawValue>>,
    /// The server's clock when it answered (`Date` header, whole seconds); `None` when something on
    /// the way took it out.
    pub server_time: Option<DateTime<Utc>>,
}

impl Page {
    /// Reads the body of an answer. Anything but a JSON array is an error, never "no rows".
    pub fn parse(
        body: &str,
        server_time: Option<DateTime<Utc>>,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            rows: serde_json::from_str(body)?,
            server_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_array_is_a_page() {
        assert_eq!(
            Page::parse("[{\"id\":1}, 2]", None)
                .expect("a page")
                .rows
                .len(),
            2
        );
        for body in ["", "{}", "null", "\"\"", "[1", "[1]x", "<html>"] {
            assert!(Page::parse(body, None).is_err(), "{body}");
        }
    }
}
