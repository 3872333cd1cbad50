//! What goes over the network, as plain data: so that it can be kept, and given again.

use std::{future::Future, pin::Pin, time::Duration};

use super::Unreachable;

tokio::task_local! {
    static ASKER: u32;
}

/// Runs `asking`, whose requests are those of the tables with this number.
///
/// Two tables may send the same request, as of the work pools, and be answered differently.
pub async fn asked_by<F: Future>(who: u32, asking: F) -> F::Output {
    ASKER.scope(who, asking).await
}

/// Whose requests those of the present task are; `None`: no table's.
pub(super) fn asker() -> Option<u32> {
    ASKER.try_with(|who| *who).ok()
}

/// A request, as far as it decides the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Whose it is: see [`asked_by`].
    pub by: Option<u32>,
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Path and query below the API's root, such as `/flow_runs/filter`.
    pub target: &'a str,
    /// The JSON that is sent along.
    pub body: Option<&'a [u8]>,
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// Of the headers those in [`KEPT`], names in lower case.
    pub headers: Vec<(String, String)>,
    /// The text; of what is no text a stand-in.
    pub body: String,
}

/// The headers that mean something to the connector.
pub const KEPT: [&str; 4] = ["content-type", "date", "location", "retry-after"];

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// None arrived.
    Unreachable(Unreachable),
    /// It is larger than what is read.
    TooLarge,
}

/// What becomes of a request.
pub type Came = Result<Answered, NoAnswer>;

/// An answer in the making; `None`: the network is to be asked.
pub type Instead<'a> = Pin<Box<dyn Future<Output = Option<Came>> + Send + 'a>>;

/// Stands where requests leave the process.
pub trait Exchanges: Send + Sync {
    /// Decides all that is otherwise left to chance: the same seed, the same waits.
    fn seed(&self) -> u64;

    /// Whether only so many requests may be under way at once as are configured.
    fn is_limited(&self) -> bool {
        true
    }

    /// Answers in the network's place, or not.
    fn instead<'a>(&'a self, asked: Asked<'a>) -> Instead<'a>;

    /// Sees what the network answered, and may take things out of it before anybody else sees it.
    fn came(&self, asked: Asked<'_>, came: &mut Came, took: Duration);
}
