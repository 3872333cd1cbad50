//! The order in which the tables of a sync take turns with the data that they share.
//!
//! Tables are read concurrently, so the order of a sync's operations depends on which response arrives first. It
//! depends on nothing else: a table sends only while it holds the shared data, and its next request follows from the
//! responses that it was given. So a record of the turns is enough to repeat a sync exactly ([`Schedule::Replayed`]), given
//! the same responses.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{MutexGuard, Notify},
    task::{JoinError, JoinSet},
};

use super::{
    fetch::{PendingRequest, Replied},
    session::SyncSession,
};
use crate::{clock::Clock, prefect::attributed};

/// One turn with the data that the tables of a sync share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockTurn {
    /// The number of the group of tables in the order of reading, from 1; 0 for the sync itself.
    pub who: u32,
    /// The ticket of the group's request whose response caused the turn, if a response did.
    pub ticket: Option<u32>,
}

/// Receives turns as they are taken.
pub trait ScheduleRecorder: Send + Sync {
    /// Records that a turn was taken.
    fn turn(&self, turn: LockTurn);
    /// Records the machine's time, which was read because the server's responses have no `Date` header.
    fn time(&self, now: DateTime<Utc>);
}

/// The order in which turns are taken.
#[derive(Clone, Default)]
pub enum Schedule {
    /// The order in which responses arrive.
    #[default]
    Live,
    /// The order in which responses arrive; it is recorded.
    Recorded(Arc<dyn ScheduleRecorder>),
    /// The order that was recorded before.
    Replayed(Arc<ReplaySchedule>),
}

/// An order that was recorded before.
///
/// If the sync deviates from the record (for example because the connector has another version), a caller must [give it
/// up](ReplaySchedule::give_up); otherwise all turns wait forever.
#[derive(Debug, Default)]
pub struct ReplaySchedule {
    turns: Mutex<VecDeque<LockTurn>>,
    times: Mutex<VecDeque<DateTime<Utc>>>,
    /// The number of turns taken so far.
    taken: AtomicU64,
    is_given_up: AtomicBool,
    is_broken: AtomicBool,
    moved: Notify,
}

impl ReplaySchedule {
    /// Creates an order from the recorded turns and the times that the clock returned.
    pub fn new(
        turns: impl IntoIterator<Item = LockTurn>,
        times: impl IntoIterator<Item = DateTime<Utc>>,
    ) -> Self {
        Self {
            turns: Mutex::new(turns.into_iter().collect()),
            times: Mutex::new(times.into_iter().collect()),
            ..Self::default()
        }
    }

    /// Returns the number of turns taken. While it grows, the order is followed.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    /// Gives up the order: from now on turns are taken as responses arrive.
    pub fn give_up(&self) {
        self.is_given_up.store(true, Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// Completes when the order is given up.
    pub async fn given_up(&self) {
        self.until(|| self.is_given_up()).await;
    }

    /// Completes when that number of turns was taken, or when the order is given up.
    pub async fn reached(&self, turns: u64) {
        self.until(|| self.taken() >= turns || self.is_given_up())
            .await;
    }

    /// Completes when the group whose turn is next requests another turn: then no turn can be taken any more.
    pub async fn broken(&self) {
        self.until(|| self.is_broken.load(Ordering::SeqCst)).await;
    }

    async fn until(&self, is_it: impl Fn() -> bool) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // Before the check, so that no change is missed in between.
            moved.as_mut().enable();
            if is_it() {
                return;
            }
            moved.await;
        }
    }

    /// Returns true if the order was given up.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::SeqCst)
    }

    /// Returns true if all turns were taken or the order was given up.
    pub fn is_over(&self) -> bool {
        self.is_given_up() || self.turns().is_empty()
    }

    fn turns(&self) -> std::sync::MutexGuard<'_, VecDeque<LockTurn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `turn` is the next turn.
    async fn wait(&self, turn: LockTurn) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // Before the check, so that no change is missed in between.
            moved.as_mut().enable();
            if self.is_over() {
                return;
            }
            let next = self.turns().front().copied();
            if next == Some(turn) {
                return;
            }
            // A group takes one turn after another, so it cannot take the recorded turn while it waits for this one.
            if next.is_some_and(|next| next.who == turn.who)
                && !self.is_broken.swap(true, Ordering::SeqCst)
            {
                self.moved.notify_waiters();
            }
            moved.await;
        }
    }

    /// Removes a turn that was taken.
    pub(crate) fn advance(&self, turn: LockTurn) {
        let mut turns = self.turns();
        if turns.front() == Some(&turn) {
            turns.pop_front();
            self.taken.fetch_add(1, Ordering::SeqCst);
        }
        drop(turns);
        self.moved.notify_waiters();
    }

    /// Returns the ticket of the request whose response `who` must take next; `None`: any.
    fn next_ticket(&self, who: u32) -> Option<u32> {
        if self.is_given_up() {
            return None;
        }
        let turns = self.turns();
        let mut own = turns.iter().filter(|turn| turn.who == who);
        own.find_map(|turn| turn.ticket)
    }

    fn time(&self) -> Option<DateTime<Utc>> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.pop_front()
    }
}

impl Schedule {
    /// Returns the current time, or the recorded one.
    pub(super) fn now(&self, clock: &dyn Clock) -> DateTime<Utc> {
        match self {
            Self::Live => clock.now(),
            Self::Recorded(log) => {
                let now = clock.now();
                log.time(now);
                now
            }
            Self::Replayed(replay) => replay.time().unwrap_or_else(|| clock.now()),
        }
    }
}

/// The access of a group of tables to the shared data.
#[derive(Clone, Copy)]
pub(super) struct SyncHandle<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) who: u32,
    pub(super) session: &'a tokio::sync::Mutex<SyncSession>,
}

impl<'a> SyncHandle<'a> {
    /// Returns the handle of another group.
    pub(super) fn for_group(self, who: u32) -> Self {
        Self { who, ..self }
    }

    /// Takes a turn.
    pub(super) async fn lock(self) -> MutexGuard<'a, SyncSession> {
        self.turn(None).await
    }

    /// Takes a turn because a response arrived.
    pub(super) async fn lock_for(self, ticket: usize) -> MutexGuard<'a, SyncSession> {
        // Tickets number a reader's requests, far fewer than `u32::MAX`.
        self.turn(Some(u32::try_from(ticket).unwrap_or(u32::MAX)))
            .await
    }

    async fn turn(self, ticket: Option<u32>) -> MutexGuard<'a, SyncSession> {
        let turn = LockTurn {
            who: self.who,
            ticket,
        };
        match self.schedule {
            Schedule::Live => self.session.lock().await,
            Schedule::Recorded(log) => {
                let session = self.session.lock().await;
                log.turn(turn);
                session
            }
            Schedule::Replayed(replay) => {
                replay.wait(turn).await;
                let session = self.session.lock().await;
                replay.advance(turn);
                session
            }
        }
    }
}

/// A group's requests that are in progress.
pub(super) struct InFlight {
    who: u32,
    tasks: JoinSet<(PendingRequest, Replied)>,
    /// Requests whose response arrived before its turn.
    early: Vec<(PendingRequest, Replied)>,
}

impl InFlight {
    pub(super) fn new(who: u32) -> Self {
        Self {
            who,
            tasks: JoinSet::new(),
            early: Vec::new(),
        }
    }

    /// Returns the number of requests whose response was not taken yet.
    pub(super) fn len(&self) -> usize {
        self.tasks.len() + self.early.len()
    }

    /// Starts one more request.
    pub(super) fn ask(
        &mut self,
        request: impl Future<Output = (PendingRequest, Replied)> + Send + 'static,
    ) {
        self.tasks.spawn(attributed(self.who, request));
    }

    /// Waits for the request whose response must be taken next; `None` if there is none.
    pub(super) async fn next(
        &mut self,
        schedule: &Schedule,
    ) -> Option<Result<(PendingRequest, Replied), JoinError>> {
        let Schedule::Replayed(replay) = schedule else {
            return self.tasks.join_next().await;
        };
        loop {
            let wanted = replay.next_ticket(self.who);
            let is_wanted = |(request, _): &(PendingRequest, Replied)| {
                wanted.is_none_or(|wanted| usize::try_from(wanted) == Ok(request.ticket))
            };
            if let Some(at) = self.early.iter().position(is_wanted) {
                return Some(Ok(self.early.swap_remove(at)));
            }
            match self.tasks.join_next().await {
                Some(Ok(answered)) => self.early.push(answered),
                Some(Err(panicked)) => return Some(Err(panicked)),
                // The recorded request was not sent.
                None => return self.early.pop().map(Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(who: u32, ticket: Option<u32>) -> LockTurn {
        LockTurn { who, ticket }
    }

    #[tokio::test]
    async fn turns_are_taken_in_the_recorded_order() {
        let noted = [turn(2, None), turn(1, Some(3)), turn(1, None)];
        let replay = ReplaySchedule::new(noted, []);
        assert_eq!(replay.next_ticket(1), Some(3));
        assert_eq!(replay.next_ticket(2), None);
        let early = replay.wait(turn(1, Some(3)));
        tokio::pin!(early);
        assert!(futures::poll!(early.as_mut()).is_pending());
        replay.wait(turn(2, None)).await;
        replay.advance(turn(2, None));
        early.await;
        replay.advance(turn(1, Some(3)));
        assert_eq!(replay.taken(), 2);
    }

    #[tokio::test]
    async fn another_turn_of_the_next_one_breaks_the_order() {
        let replay = ReplaySchedule::new([turn(2, None), turn(1, Some(3))], []);
        let broken = replay.broken();
        tokio::pin!(broken);
        let other = replay.wait(turn(1, Some(4)));
        tokio::pin!(other);
        assert!(futures::poll!(other.as_mut()).is_pending());
        assert!(futures::poll!(broken.as_mut()).is_pending());
        replay.advance(turn(2, None));
        assert!(futures::poll!(other.as_mut()).is_pending());
        broken.await;
        replay.give_up();
        other.await;
    }

    #[tokio::test]
    async fn a_reader_without_recorded_turns_continues_when_the_schedule_is_given_up() {
        let replay = ReplaySchedule::new([turn(1, None)], []);
        let never = replay.wait(turn(9, None));
        tokio::pin!(never);
        assert!(futures::poll!(never.as_mut()).is_pending());
        replay.give_up();
        never.await;
        assert_eq!(replay.next_ticket(1), None);
    }
}
