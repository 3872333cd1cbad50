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
        ExchangeResult, HttpInterceptor, NoResponse, RecordedRequest, RecordedResponse,
        StubResponse, Unreachable,
    },
    sync::ReplaySchedule,
};

/// The maximum number of requests without a response that are listed.
const MAX_EXAMPLES: usize = 10;

/// The outcome of a request for which the recording has no response.
const NO_RESPONSE: NoResponse = NoResponse::Unreachable(Unreachable::Broken);

/// A request: method, target and body.
type Key = (String, String, Vec<u8>);

/// The outcome of a request; `None` if the sync did not wait for it.
type RecordedOutcome = Option<ExchangeResult>;

/// The recorded responses of each request, by the number of the tables that sent it.
type Recordings = HashMap<(Option<u32>, Key), VecDeque<RecordedOutcome>>;

/// Returns the responses of a recording.
#[derive(Debug)]
pub(super) struct ResponseReplayer {
    seed: u64,
    /// The recorded outcomes by sender and request, in the order of their arrival.
    recorded: Mutex<Recordings>,
    /// True if the recording names the senders of requests.
    names_requesters: bool,
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
    synthesized: AtomicU64,
    unanswered: AtomicU64,
}

/// The counts of requests by the source of their response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseCounts {
    /// The number of requests with their recorded response.
    pub recorded: u64,
    /// The number of requests whose response was made from the recorded objects.
    pub synthesized: u64,
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
        let mut responses: HashMap<_, VecDeque<RecordedOutcome>> = HashMap::new();
        let mut last = HashMap::new();
        for (exchange, body) in &recorded.exchanges {
            let request = exchange.request_body.as_deref();
            let key = (
                exchange.method.clone(),
                exchange.target.clone(),
                request.map_or_else(Vec::new, |request| request.get().as_bytes().to_vec()),
            );
            let outcome = match (exchange.status, exchange.no_response) {
                (Some(status), _) => Some(Ok(RecordedResponse {
                    status,
                    headers: exchange.headers.clone(),
                    body: String::from_utf8_lossy(body).into_owned(),
                })),
                (None, Some(no_response)) => Some(Err(no_response.why())),
                (None, None) => None,
            };
            if let Some(outcome) = &outcome
                && schedule.is_none()
            {
                last.insert(key.clone(), outcome.clone());
            }
            responses
                .entry((exchange.requester, key))
                .or_default()
                .push_back(outcome);
        }
        Self {
            seed: recorded.head.seed,
            recorded: Mutex::new(responses),
            names_requesters: recorded
                .exchanges
                .iter()
                .any(|(it, _)| it.requester.is_some()),
            last,
            workspace: RecordedWorkspace::from_recording(recorded),
            schedule,
            has_all_requests: recorded.is_complete && recorded.ended.is_some(),
            enough,
            counts: Counts::default(),
            unanswered: Mutex::default(),
        }
    }

    /// Returns the counts so far.
    pub(super) fn counts(&self) -> ResponseCounts {
        let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
        ResponseCounts {
            recorded: count(&self.counts.recorded),
            synthesized: count(&self.counts.synthesized),
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
    fn next(&self, requester: Option<u32>, key: &Key) -> Option<RecordedOutcome> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let requester = requester.filter(|_| self.names_requesters);
        recorded.get_mut(&(requester, key.clone()))?.pop_front()
    }

    async fn recorded_outcome(
        &self,
        requester: Option<u32>,
        key: &Key,
        schedule: &ReplaySchedule,
    ) -> Option<ExchangeResult> {
        let waits = match self.next(requester, key) {
            Some(Some(outcome)) => {
                self.counts.recorded.fetch_add(1, Ordering::SeqCst);
                return Some(outcome);
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
            () = self.enough.cancelled() => Some(Err(NO_RESPONSE)),
            () = schedule.given_up() => None,
        }
    }

    fn synthesized(&self, request: RecordedRequest<'_>, key: &Key) -> ExchangeResult {
        if let Some(response) = self.workspace.response(request) {
            self.counts.synthesized.fetch_add(1, Ordering::SeqCst);
            return Ok(response);
        }
        if let Some(outcome) = self.last.get(key) {
            self.counts.recorded.fetch_add(1, Ordering::SeqCst);
            return outcome.clone();
        }
        self.counts.unanswered.fetch_add(1, Ordering::SeqCst);
        let mut examples = self.unanswered();
        if examples.len() < MAX_EXAMPLES {
            examples.push(format!("{} {}", request.method, request.target));
        }
        Err(NO_RESPONSE)
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

    fn intercept<'a>(&'a self, request: RecordedRequest<'a>) -> StubResponse<'a> {
        Box::pin(async move {
            let key = (
                request.method.to_owned(),
                request.target.to_owned(),
                request.body.unwrap_or_default().to_vec(),
            );
            if let Some(schedule) = &self.schedule
                && let Some(outcome) = self
                    .recorded_outcome(request.requester, &key, schedule)
                    .await
            {
                return Some(outcome);
            }
            Some(self.synthesized(request, &key))
        })
    }

    fn on_response(
        &self,
        _request: RecordedRequest<'_>,
        _result: &mut ExchangeResult,
        _duration: std::time::Duration,
    ) {
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::{super::entry, *};

    fn exchange(requester: Option<u32>, body: &'static str) -> (entry::Exchange, Bytes) {
        let exchange = entry::Exchange {
            at: 0,
            duration: 0,
            requester,
            method: "POST".into(),
            target: "/work_pools/filter".into(),
            request_body: None,
            status: Some(200),
            headers: Vec::new(),
            no_response: None,
            bytes: body.len(),
        };
        (exchange, Bytes::from(body))
    }

    fn replayer(exchanges: Vec<(entry::Exchange, Bytes)>) -> ResponseReplayer {
        let recorded = RecordedSync {
            head: entry::FileHeader {
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

    async fn response(replayer: &ResponseReplayer, requester: Option<u32>) -> String {
        let request = RecordedRequest {
            requester,
            method: "POST",
            target: "/work_pools/filter",
            body: None,
        };
        replayer.intercept(request).await.unwrap().unwrap().body
    }

    #[tokio::test]
    async fn the_same_request_of_two_tables_is_answered_as_each_was() {
        let replayer = replayer(vec![exchange(Some(1), "[1]"), exchange(Some(2), "[2]")]);
        assert_eq!(response(&replayer, Some(2)).await, "[2]");
        assert_eq!(response(&replayer, Some(1)).await, "[1]");
    }

    #[tokio::test]
    async fn a_recording_that_does_not_say_who_asked_is_played_in_its_order() {
        let replayer = replayer(vec![exchange(None, "[1]"), exchange(None, "[2]")]);
        assert_eq!(response(&replayer, Some(2)).await, "[1]");
        assert_eq!(response(&replayer, Some(1)).await, "[2]");
    }
}
