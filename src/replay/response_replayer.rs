//! Responses from a recording instead of the network.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::{recorded_sync::RecordedSync, recorded_workspace::RecordedWorkspace};
use crate::{
    prefect::{
        ExchangeResult, HttpInterceptor, NoAnswer, RecordedRequest, RecordedResponse, StubResponse,
        Unreachable,
    },
    sync::ReplaySchedule,
};

/// The maximum number of requests without a response that are listed.
const MAX_EXAMPLES: usize = 10;

/// The outcome of a request for which the recording has no response.
const NO_ANSWER: NoAnswer = NoAnswer::Unreachable(Unreachable::Broken);

/// A request: method, target and body.
type Key = (String, String, Vec<u8>);

/// The outcome of a request; `None` if the sync did not wait for it.
type Then = Option<ExchangeResult>;

/// The recorded responses of each request, by the number of the tables that sent it.
type Recordings = HashMap<(Option<u32>, Key), VecDeque<Then>>;

/// Returns the responses of a recording.
#[derive(Debug)]
pub(super) struct ResponseReplayer {
    seed: u64,
    /// The recorded outcomes by sender and request, in the order of their arrival.
    recorded: Mutex<Recordings>,
    /// True if the recording names the senders of requests.
    names_askers: bool,
    /// The last outcome of each request; empty if there is an `order`.
    last: HashMap<Key, ExchangeResult>,
    workspace: RecordedWorkspace,
    /// The recorded order of turns; `None` for a sync from another state.
    schedule: Option<Arc<ReplaySchedule>>,
    /// True if the recording is complete and the sync was not interrupted: the recording then has all its requests.
    has_all_requests: bool,
    /// Cancelled when the replay has sent all messages of an interrupted sync.
    enough: CancellationToken,
    counts: Counts,
    unanswered: Mutex<Vec<String>>,
}

#[derive(Debug, Default)]
struct Counts {
    recorded: AtomicU64,
    made_up: AtomicU64,
    unanswered: AtomicU64,
}

/// The counts of requests by the source of their response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseCounts {
    /// The number of requests with their recorded response.
    pub recorded: u64,
    /// The number of requests whose response was made from the recorded objects.
    pub made_up: u64,
    /// The number of requests without a response.
    pub unanswered: u64,
    /// The first requests without a response.
    pub examples: Vec<String>,
}

impl ResponseReplayer {
    /// Creates a replayer that returns the responses as recorded, or without an `order` from the recorded objects.
    pub(super) fn new(
        recorded: &RecordedSync,
        schedule: Option<Arc<ReplaySchedule>>,
        enough: CancellationToken,
    ) -> Self {
        let mut answers: HashMap<_, VecDeque<Then>> = HashMap::new();
        let mut last = HashMap::new();
        for (exchange, body) in &recorded.exchanges {
            let asked = exchange.asked.as_deref();
            let key = (
                exchange.method.clone(),
                exchange.target.clone(),
                asked.map_or_else(Vec::new, |asked| asked.get().as_bytes().to_vec()),
            );
            let came = match (exchange.status, exchange.nothing) {
                (Some(status), _) => Some(Ok(RecordedResponse {
                    status,
                    headers: exchange.headers.clone(),
                    body: String::from_utf8_lossy(body).into_owned(),
                })),
                (None, Some(nothing)) => Some(Err(nothing.why())),
                (None, None) => None,
            };
            if let Some(came) = &came
                && schedule.is_none()
            {
                last.insert(key.clone(), came.clone());
            }
            answers
                .entry((exchange.by, key))
                .or_default()
                .push_back(came);
        }
        Self {
            seed: recorded.head.seed,
            recorded: Mutex::new(answers),
            names_askers: recorded.exchanges.iter().any(|(it, _)| it.by.is_some()),
            last,
            workspace: RecordedWorkspace::of(recorded),
            schedule,
            has_all_requests: recorded.is_complete && recorded.ended.is_some(),
            enough,
            counts: Counts::default(),
            unanswered: Mutex::default(),
        }
    }

    /// Returns the counts so far.
    pub(super) fn answers(&self) -> ResponseCounts {
        let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
        ResponseCounts {
            recorded: count(&self.counts.recorded),
            made_up: count(&self.counts.made_up),
            unanswered: count(&self.counts.unanswered),
            examples: self.unanswered().clone(),
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, Vec<String>> {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next recorded outcome of a request; `None` if there are no more.
    fn next(&self, by: Option<u32>, key: &Key) -> Option<Then> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let by = by.filter(|_| self.names_askers);
        recorded.get_mut(&(by, key.clone()))?.pop_front()
    }

    async fn as_it_was(
        &self,
        by: Option<u32>,
        key: &Key,
        schedule: &ReplaySchedule,
    ) -> Option<ExchangeResult> {
        let waits = match self.next(by, key) {
            Some(Some(came)) => {
                self.counts.recorded.fetch_add(1, Ordering::SeqCst);
                return Some(came);
            }
            // The recorded sync did not wait for the response.
            Some(None) => true,
            // An interrupted sync may not have sent this request. Its tables wait here, so that the others can take the
            // recorded turns.
            None => !self.has_all_requests,
        };
        if !waits {
            schedule.give_up();
        }
        tokio::select! {
            biased;
            () = self.enough.cancelled() => Some(Err(NO_ANSWER)),
            () = schedule.given_up() => None,
        }
    }

    fn made_up(&self, asked: RecordedRequest<'_>, key: &Key) -> ExchangeResult {
        if let Some(answer) = self.workspace.answer(asked) {
            self.counts.made_up.fetch_add(1, Ordering::SeqCst);
            return Ok(answer);
        }
        if let Some(came) = self.last.get(key) {
            self.counts.recorded.fetch_add(1, Ordering::SeqCst);
            return came.clone();
        }
        self.counts.unanswered.fetch_add(1, Ordering::SeqCst);
        let mut examples = self.unanswered();
        if examples.len() < MAX_EXAMPLES {
            examples.push(format!("{} {}", asked.method, asked.target));
        }
        Err(NO_ANSWER)
    }
}

impl HttpInterceptor for ResponseReplayer {
    fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns false, since requests that wait because they have no recorded response must not block the others.
    fn is_limited(&self) -> bool {
        false
    }

    fn instead<'a>(&'a self, asked: RecordedRequest<'a>) -> StubResponse<'a> {
        Box::pin(async move {
            let key = (
                asked.method.to_owned(),
                asked.target.to_owned(),
                asked.body.unwrap_or_default().to_vec(),
            );
            if let Some(schedule) = &self.schedule
                && let Some(came) = self.as_it_was(asked.by, &key, schedule).await
            {
                return Some(came);
            }
            Some(self.made_up(asked, &key))
        })
    }

    fn came(
        &self,
        _asked: RecordedRequest<'_>,
        _came: &mut ExchangeResult,
        _took: std::time::Duration,
    ) {
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::{super::entry, *};

    fn exchange(by: Option<u32>, body: &'static str) -> (entry::Exchange, Bytes) {
        let exchange = entry::Exchange {
            at: 0,
            took: 0,
            by,
            method: "POST".into(),
            target: "/work_pools/filter".into(),
            asked: None,
            status: Some(200),
            headers: Vec::new(),
            nothing: None,
            bytes: body.len(),
        };
        (exchange, Bytes::from(body))
    }

    fn replayer(exchanges: Vec<(entry::Exchange, Bytes)>) -> ResponseReplayer {
        let recorded = RecordedSync {
            head: entry::Head {
                version: 1,
                connector: "0".into(),
                began: DateTime::UNIX_EPOCH,
                seed: 1,
                configuration: std::collections::BTreeMap::new(),
                hidden: Vec::new(),
                redacted: Vec::new(),
            },
            request: None,
            exchanges,
            turns: Vec::new(),
            times: Vec::new(),
            messages: Vec::new(),
            ended: None,
            is_complete: true,
        };
        let schedule = Arc::new(ReplaySchedule::default());
        ResponseReplayer::new(&recorded, Some(schedule), CancellationToken::new())
    }

    async fn answer(replayer: &ResponseReplayer, by: Option<u32>) -> String {
        let asked = RecordedRequest {
            by,
            method: "POST",
            target: "/work_pools/filter",
            body: None,
        };
        replayer.instead(asked).await.unwrap().unwrap().body
    }

    #[tokio::test]
    async fn the_same_request_of_two_tables_is_answered_as_each_was() {
        let replayer = replayer(vec![exchange(Some(1), "[1]"), exchange(Some(2), "[2]")]);
        assert_eq!(answer(&replayer, Some(2)).await, "[2]");
        assert_eq!(answer(&replayer, Some(1)).await, "[1]");
    }

    #[tokio::test]
    async fn a_recording_that_does_not_say_who_asked_is_played_in_its_order() {
        let replayer = replayer(vec![exchange(None, "[1]"), exchange(None, "[2]")]);
        assert_eq!(answer(&replayer, Some(2)).await, "[1]");
        assert_eq!(answer(&replayer, Some(1)).await, "[2]");
    }
}
