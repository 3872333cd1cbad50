//! Responses from a recording instead of the network.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::{
    body_reader::BodyReader,
    entry::Exchange,
    error::Error,
    recorded_sync::{RecordedExchange, RecordedSync},
    recorded_workspace::RecordedWorkspace,
};
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

/// The numbers of the recorded exchanges of each request, by the number of the tables that sent it.
type Recordings = HashMap<(Option<u32>, Key), VecDeque<usize>>;

/// Returns the responses of a recording.
pub(super) struct ResponseReplayer {
    recorded: Arc<RecordedSync>,
    /// The exchanges that were not yet taken, by sender and request, in the order of their arrival.
    remaining: Mutex<Recordings>,
    /// The bodies of the responses.
    bodies: Mutex<BodyReader>,
    /// True if the recording names the senders of requests.
    names_requesters: bool,
    /// The recorded objects, read at the first request that was not recorded.
    workspace: OnceLock<RecordedWorkspace>,
    /// The recorded order of turns; `None` for a sync from another state.
    schedule: Option<Arc<ReplaySchedule>>,
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
    /// Creates a replayer that returns the responses as recorded, or without a `schedule` from the recorded objects.
    pub(super) fn new(
        recorded: &Arc<RecordedSync>,
        schedule: Option<Arc<ReplaySchedule>>,
        enough: CancellationToken,
    ) -> Result<Self, Error> {
        let mut remaining = Recordings::new();
        for (number, RecordedExchange { exchange, .. }) in recorded.exchanges.iter().enumerate() {
            let request = (exchange.requester, key(exchange));
            remaining.entry(request).or_default().push_back(number);
        }
        let mut exchanges = recorded.exchanges.iter();
        Ok(Self {
            recorded: Arc::clone(recorded),
            remaining: Mutex::new(remaining),
            bodies: Mutex::new(BodyReader::open(&recorded.path)?),
            names_requesters: exchanges.any(|it| it.exchange.requester.is_some()),
            workspace: OnceLock::new(),
            schedule,
            enough,
            counts: Counts::default(),
            unanswered: Mutex::default(),
        })
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

    /// Takes the number of the next exchange of a request; `None` if there are no more.
    fn next(&self, requester: Option<u32>, key: &Key) -> Option<usize> {
        let mut remaining = self
            .remaining
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let requester = requester.filter(|_| self.names_requesters);
        remaining.get_mut(&(requester, key.clone()))?.pop_front()
    }

    /// Returns the recorded outcome of a request, at the time at which it arrived. Returns `None` if there is none.
    async fn recorded_outcome(
        &self,
        requester: Option<u32>,
        key: &Key,
        schedule: &ReplaySchedule,
    ) -> Option<ExchangeResult> {
        let number = self.next(requester, key);
        let recorded = number.and_then(|at| Some((at, self.recorded.exchanges.get(at)?)));
        let waits = match recorded {
            // The recorded sync did not wait for the response.
            Some((_, it)) if it.exchange.status.is_none() && it.exchange.no_response.is_none() => {
                true
            }
            Some((number, recorded)) => {
                tokio::select! {
                    biased;
                    // Earlier turns do not depend on the response. So responses are read in about the order of the file.
                    () = schedule.reached(recorded.turns) => {}
                    () = self.enough.cancelled() => return Some(Err(NO_RESPONSE)),
                }
                if let Some(outcome) = self.read_outcome(number, &recorded.exchange) {
                    self.counts.recorded.fetch_add(1, Ordering::SeqCst);
                    return Some(outcome);
                }
                false
            }
            // An interrupted sync may not have sent this request. Its tables wait here, so that the others can take the
            // recorded turns.
            None => !(self.recorded.is_complete && self.recorded.ended.is_some()),
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

    /// Reads the outcome of an exchange. Returns `None` if the sync did not wait for it or the file cannot be read.
    fn read_outcome(&self, number: usize, exchange: &Exchange) -> Option<ExchangeResult> {
        let Some(status) = exchange.status else {
            return Some(Err(exchange.no_response?.why()));
        };
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let body = bodies.take(number)?;
        Some(Ok(RecordedResponse {
            status,
            headers: exchange.headers.clone(),
            body: String::from_utf8_lossy(&body).into_owned(),
        }))
    }

    /// Returns the recorded objects. If the file can no longer be read, those that were read before.
    fn workspace(&self) -> &RecordedWorkspace {
        self.workspace.get_or_init(|| {
            let recording = self.recorded.open();
            recording.map_or_else(
                |_| RecordedWorkspace::default(),
                RecordedWorkspace::from_recording,
            )
        })
    }

    /// Returns the last recorded outcome of a request for a sync from another state.
    fn last_outcome(&self, key: &Key) -> Option<ExchangeResult> {
        if self.schedule.is_some() {
            return None;
        }
        let exchanges = self.recorded.exchanges.iter().enumerate().rev();
        let mut with_outcome = exchanges
            .filter(|(_, it)| it.exchange.status.is_some() || it.exchange.no_response.is_some());
        let (number, last) = with_outcome.find(|(_, it)| self::key(&it.exchange) == *key)?;
        self.read_outcome(number, &last.exchange)
    }

    fn synthesized(&self, request: RecordedRequest<'_>, key: &Key) -> ExchangeResult {
        if let Some(response) = self.workspace().response(request) {
            self.counts.synthesized.fetch_add(1, Ordering::SeqCst);
            return Ok(response);
        }
        if let Some(outcome) = self.last_outcome(key) {
            self.counts.recorded.fetch_add(1, Ordering::SeqCst);
            return outcome;
        }
        self.counts.unanswered.fetch_add(1, Ordering::SeqCst);
        let mut examples = self.unanswered();
        if examples.len() < MAX_EXAMPLES {
            examples.push(format!("{} {}", request.method, request.target));
        }
        Err(NO_RESPONSE)
    }
}

/// Returns the request of an exchange.
fn key(exchange: &Exchange) -> Key {
    let body = exchange.request_body.as_deref();
    (
        exchange.method.clone(),
        exchange.target.clone(),
        body.map_or_else(Vec::new, |body| body.get().as_bytes().to_vec()),
    )
}

impl HttpInterceptor for ResponseReplayer {
    fn seed(&self) -> u64 {
        self.recorded.head.seed
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
    use tempfile::NamedTempFile;

    use super::{
        super::{
            entry::Entry,
            test_file::{exchange, recording},
        },
        *,
    };
    use crate::sync::LockTurn;

    fn replayer(entries: &[(Entry, &str)]) -> (ResponseReplayer, NamedTempFile) {
        let file = recording(entries);
        let recorded = Arc::new(RecordedSync::read(file.path()).unwrap());
        let schedule = ReplaySchedule::new(recorded.turns.iter().copied(), []);
        let schedule = Some(Arc::new(schedule));
        let replayer = ResponseReplayer::new(&recorded, schedule, CancellationToken::new());
        (replayer.unwrap(), file)
    }

    async fn response(replayer: &ResponseReplayer, requester: Option<u32>) -> String {
        let request = RecordedRequest {
            requester,
            method: "POST",
            target: "/work_pools/filter",
            body: Some(br#"{"limit":2}"#),
        };
        replayer.intercept(request).await.unwrap().unwrap().body
    }

    #[tokio::test]
    async fn the_same_request_of_two_tables_is_answered_as_each_was() {
        let entries = [exchange(Some(1), "[1]"), exchange(Some(2), "[2]")];
        let (replayer, _file) = replayer(&entries);
        assert_eq!(response(&replayer, Some(2)).await, "[2]");
        assert_eq!(response(&replayer, Some(1)).await, "[1]");
    }

    #[tokio::test]
    async fn a_recording_that_does_not_say_who_asked_is_played_in_its_order() {
        let (replayer, _file) = replayer(&[exchange(None, "[1]"), exchange(None, "[2]")]);
        assert_eq!(response(&replayer, Some(2)).await, "[1]");
        assert_eq!(response(&replayer, Some(1)).await, "[2]");
    }

    /// Otherwise a request whose response arrived late would make the replay read everything before it.
    #[tokio::test]
    async fn a_response_is_read_only_after_the_turns_before_its_arrival() {
        let turn = || (Entry::Turn(1, None), "");
        let entries = [turn(), turn(), exchange(Some(1), "[1]")];
        let (replayer, _file) = replayer(&entries);
        let schedule = replayer.schedule.clone().unwrap();
        let early = response(&replayer, Some(1));
        tokio::pin!(early);
        for _ in 0..2 {
            assert!(futures::poll!(early.as_mut()).is_pending());
            schedule.advance(LockTurn {
                who: 1,
                ticket: None,
            });
        }
        assert_eq!(early.await, "[1]");
    }
}
