//! Gives the answers of a recording in the network's place.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::{tape::Recorded, world::World};
use crate::{
    prefect::{Answered, Asked, Came, Exchanges, Instead, NoAnswer, Unreachable},
    sync::Told,
};

/// Requests without an answer that are told of.
const TOLD: usize = 10;

/// Becomes of a request that the recording cannot answer.
const NO_ANSWER: NoAnswer = NoAnswer::Unreachable(Unreachable::Broken);

/// A request: method, target, and what is sent along.
type Key = (String, String, Vec<u8>);

/// What became of a request; `None`: nobody waited for it.
type Then = Option<Came>;

/// The recorded responses of each request, by the number of the tables that sent it.
type Recordings = HashMap<(Option<u32>, Key), VecDeque<Then>>;

/// Answers from a recording.
#[derive(Debug)]
pub(super) struct Player {
    seed: u64,
    /// By who asked, in the order in which they came.
    recorded: Mutex<Recordings>,
    /// The recording says who asked.
    names_askers: bool,
    /// The last of each.
    last: HashMap<Key, Came>,
    world: World,
    /// `None`: from another state, nothing is as it was.
    order: Option<Arc<Told>>,
    /// The sync ended by itself, and nothing is missing at the recording's end: it sent no request that is not there.
    has_all_requests: bool,
    /// Trips when the replay has sent all that it is to send.
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

/// How requests were answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// As recorded.
    pub recorded: u64,
    /// From the objects that the recording knows, because they were not asked then.
    pub made_up: u64,
    /// Not at all.
    pub unanswered: u64,
    /// The first of those.
    pub examples: Vec<String>,
}

impl Player {
    /// Answers as recorded, in `order`; or, without one, from what the recording knows.
    pub(super) fn new(
        recorded: &Recorded,
        order: Option<Arc<Told>>,
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
                (Some(status), _) => Some(Ok(Answered {
                    status,
                    headers: exchange.headers.clone(),
                    body: String::from_utf8_lossy(body).into_owned(),
                })),
                (None, Some(nothing)) => Some(Err(nothing.why())),
                (None, None) => None,
            };
            if let Some(came) = &came
                && order.is_none()
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
            world: World::of(recorded),
            order,
            has_all_requests: recorded.is_complete && recorded.ended.is_some(),
            enough,
            counts: Counts::default(),
            unanswered: Mutex::default(),
        }
    }

    /// How requests were answered so far.
    pub(super) fn answers(&self) -> Answers {
        let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Answers {
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

    /// The next recorded answer; `None` when there is none any more.
    fn next(&self, by: Option<u32>, key: &Key) -> Option<Then> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let by = by.filter(|_| self.names_askers);
        recorded.get_mut(&(by, key.clone()))?.pop_front()
    }

    async fn as_it_was(&self, by: Option<u32>, key: &Key, told: &Told) -> Option<Came> {
        let waits = match self.next(by, key) {
            Some(Some(came)) => {
                self.counts.recorded.fetch_add(1, Ordering::SeqCst);
                return Some(came);
            }
            // Nobody waited for it then.
            Some(None) => true,
            // A sync that was cut off did not send what it was about to; its tables then wait here, for the others to
            // take the turns that were recorded.
            None => !self.has_all_requests,
        };
        if !waits {
            told.give_up();
        }
        tokio::select! {
            biased;
            () = self.enough.cancelled() => Some(Err(NO_ANSWER)),
            () = told.given_up() => None,
        }
    }

    fn made_up(&self, asked: Asked<'_>, key: &Key) -> Came {
        if let Some(answer) = self.world.answer(asked) {
            self.counts.made_up.fetch_add(1, Ordering::SeqCst);
            return Ok(answer);
        }
        if let Some(came) = self.last.get(key) {
            self.counts.recorded.fetch_add(1, Ordering::SeqCst);
            return came.clone();
        }
        self.counts.unanswered.fetch_add(1, Ordering::SeqCst);
        let mut examples = self.unanswered();
        if examples.len() < TOLD {
            examples.push(format!("{} {}", asked.method, asked.target));
        }
        Err(NO_ANSWER)
    }
}

impl Exchanges for Player {
    fn seed(&self) -> u64 {
        self.seed
    }

    /// What waits for an answer that the recording does not have must not keep the others from theirs.
    fn is_limited(&self) -> bool {
        false
    }

    fn instead<'a>(&'a self, asked: Asked<'a>) -> Instead<'a> {
        Box::pin(async move {
            let key = (
                asked.method.to_owned(),
                asked.target.to_owned(),
                asked.body.unwrap_or_default().to_vec(),
            );
            if let Some(told) = &self.order
                && let Some(came) = self.as_it_was(asked.by, &key, told).await
            {
                return Some(came);
            }
            Some(self.made_up(asked, &key))
        })
    }

    fn came(&self, _asked: Asked<'_>, _came: &mut Came, _took: std::time::Duration) {}
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

    fn player(exchanges: Vec<(entry::Exchange, Bytes)>) -> Player {
        let recorded = Recorded {
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
        let order = Arc::new(Told::default());
        Player::new(&recorded, Some(order), CancellationToken::new())
    }

    async fn answer(player: &Player, by: Option<u32>) -> String {
        let asked = Asked {
            by,
            method: "POST",
            target: "/work_pools/filter",
            body: None,
        };
        player.instead(asked).await.unwrap().unwrap().body
    }

    #[tokio::test]
    async fn the_same_request_of_two_tables_is_answered_as_each_was() {
        let player = player(vec![exchange(Some(1), "[1]"), exchange(Some(2), "[2]")]);
        assert_eq!(answer(&player, Some(2)).await, "[2]");
        assert_eq!(answer(&player, Some(1)).await, "[1]");
    }

    #[tokio::test]
    async fn a_recording_that_does_not_say_who_asked_is_played_in_its_order() {
        let player = player(vec![exchange(None, "[1]"), exchange(None, "[2]")]);
        assert_eq!(answer(&player, Some(2)).await, "[1]");
        assert_eq!(answer(&player, Some(1)).await, "[2]");
    }
}
