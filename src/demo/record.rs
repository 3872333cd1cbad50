//! What a server was asked, when, and what became of it.

use chrono::TimeDelta;

use super::{
    front::{Answer, Asked},
    model::Time,
};

/// A request and its end, by the server's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// When it was answered.
    pub at: Time,
    /// The request.
    pub asked: Asked,
    /// The answer's status.
    pub status: u16,
    /// From when on the caller may ask again, where the answer says so.
    pub not_before: Option<Time>,
}

impl Recorded {
    pub(super) fn of(asked: &Asked, answer: &Answer, at: Time) -> Self {
        let named = |(name, _): &&(&str, String)| *name == "retry-after";
        let told = answer.headers.iter().find(named).map(|(_, value)| value);
        let not_before = told.and_then(|value| match value.parse() {
            Ok(seconds) => Some(at + TimeDelta::seconds(seconds)),
            Err(_) => httpdate::parse_http_date(value).ok().map(Time::from),
        });
        Self {
            at,
            asked: asked.clone(),
            status: answer.status,
            not_before,
        }
    }
}
