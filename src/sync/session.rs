//! The data that the tables of a sync share: the state, the outbox, the server's clock.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;

use super::{
    Error, Op, State, SyncSettings,
    row_clock::RowClock,
    selection::Group,
    sent_fingerprints::CLOCK_SKEW_MARGIN,
    strategies::{self, Change, Emission, FetchedPage, Poll, Response, StartContext, TableSync},
};
use crate::{
    rows::{Context, Row},
    tables::Table,
};

/// The channel for the operations of a sync. The operations of one page are one message; an error is the last message.
pub type Outbox = mpsc::Sender<Result<Vec<Op>, Error>>;

/// The largest size of the state, in bytes. It is limited because every checkpoint contains the state.
pub const STATE_BYTES: usize = 1_048_576;

/// The longest delay of a checkpoint whose state is larger than what it would commit.
const CHECKPOINT_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// The size of a change that is assumed when it is compared with the state, in bytes: about a run.
const CHANGE_BYTES: usize = 2_048;

/// The data that the tables of a sync share. A table sends only while it holds this data, so that a checkpoint never
/// covers a row that was not sent before it.
pub(super) struct SyncSession {
    pub(super) state: State,
    /// The tables that are or were read. Each checkpoint puts their progress into the state.
    pub(super) readings: Vec<ActiveTable>,
    outbox: Outbox,
    /// The server's time at the latest response. It never steps back.
    pub(super) now: Option<DateTime<Utc>>,
    /// True if the user was warned that responses have no `Date` header.
    pub(super) is_undated: bool,
    /// Tables that the server does not have and that were not reported yet.
    pub(super) newly_absent: Vec<&'static Table>,
    /// Objects per request; the server may allow fewer than configured.
    pub(super) limit: u32,
    /// The number of changes sent since the last checkpoint, plus one for each page that learned something.
    uncommitted: usize,
    /// The largest size of the state, in bytes.
    state_bytes: usize,
    /// The least time between two checkpoints, set by the user.
    checkpoint_every: TimeDelta,
    checkpoint_bytes: usize,
    checkpoint_at: Option<DateTime<Utc>>,
}

/// Tables that are read together.
pub(super) struct ActiveTable {
    group: Group,
    reader: Box<dyn TableSync>,
    /// True once the reader has taken a response. Before that, the state stays unchanged.
    has_begun: bool,
    /// True if the reader was used since its progress was put into the state.
    has_changed: bool,
}

impl ActiveTable {
    pub(super) fn table(&self) -> &'static Table {
        self.group.source
    }

    pub(super) fn reader(&self) -> &dyn TableSync {
        &*self.reader
    }

    /// Returns the reader for any use that may change its progress.
    pub(super) fn reader_mut(&mut self) -> &mut dyn TableSync {
        self.has_changed = true;
        &mut *self.reader
    }
}

/// The server's clock is before the time in the state: earlier readings by time cannot be compared with.
#[derive(Debug)]
pub(super) struct SteppedBack {
    pub(super) before: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
}

impl SyncSession {
    pub(super) fn new(
        state: State,
        outbox: Outbox,
        limit: u32,
        (state_bytes, checkpoint_every): (usize, TimeDelta),
    ) -> Self {
        Self {
            state,
            readings: Vec::new(),
            outbox,
            now: None,
            is_undated: false,
            newly_absent: Vec::new(),
            limit,
            uncommitted: 0,
            state_bytes,
            checkpoint_every,
            checkpoint_bytes: 0,
            checkpoint_at: None,
        }
    }

    /// Begins to read a group of tables; returns its index among the readings.
    pub(super) fn begin(
        &mut self,
        group: &Group,
        (context, settings): (&Context, &SyncSettings),
    ) -> usize {
        self.state.part_with(group);
        let reader = strategies::start(&StartContext {
            group,
            saved: self.state.saved(group),
            context,
            settings,
            now: self.now.or(self.state.now),
        });
        self.readings.push(ActiveTable {
            group: group.clone(),
            reader,
            has_begun: false,
            has_changed: false,
        });
        self.readings.len() - 1
    }

    /// Returns the next request of a reading.
    pub(super) fn next(&mut self, at: usize) -> Poll {
        self.readings[at].reader_mut().next(self.limit)
    }

    /// Passes a response to a reading.
    pub(super) fn accept(&mut self, at: usize, ticket: usize, answer: Response) -> Emission {
        let reading = &mut self.readings[at];
        reading.has_begun = true;
        reading.reader_mut().accept(ticket, answer)
    }

    /// Puts the progress of the readings into the state.
    pub(super) fn collect(&mut self) {
        let changed = |reading: &&mut ActiveTable| reading.has_begun && reading.has_changed;
        for reading in self.readings.iter_mut().filter(changed) {
            reading.has_changed = false;
            for (name, state) in reading.reader.states() {
                let mut tables = reading.group.tables.iter();
                if let Some(selected) = tables.find(|selected| selected.table.name == name) {
                    self.state.set(selected, state);
                }
            }
        }
    }

    /// Prepares all tables to be read again, because the clock stepped back to `now`.
    pub(super) fn rewind(&mut self, now: DateTime<Utc>) {
        self.collect();
        self.readings.clear();
        self.state.rewind(now);
    }

    /// Takes the time of a response; returns the time that counts, which never steps back. An error is returned only if
    /// the first response is earlier than the state by more than the margin, because several servers may respond.
    pub(super) fn tell_time(&mut self, now: DateTime<Utc>) -> Result<DateTime<Utc>, SteppedBack> {
        let now = match self.now.or(self.state.now) {
            Some(before) if self.now.is_none() && before - now > CLOCK_SKEW_MARGIN => {
                return Err(SteppedBack { before, now });
            }
            Some(before) => before.max(now),
            None => now,
        };
        if self.now.is_none()
            && self.state.row_clock.is_unknown()
            && let Some(before) = self.state.now
        {
            // Cursors written by an earlier version are at this time.
            self.state.row_clock = RowClock::from(before);
        }
        self.now = Some(now);
        self.state.now = Some(now);
        Ok(now)
    }

    /// Updates the estimate of the rows' clock from the rows of a page.
    pub(super) fn note_times(&mut self, page: &mut FetchedPage) {
        let updated = |row: &Row| row.instant(row.table().position("updated")?);
        let times = page.list.iter().filter_map(updated);
        page.mark = self
            .state
            .row_clock
            .read(page.now, CLOCK_SKEW_MARGIN, times);
    }

    /// Returns the outbox, which shows if the caller has disconnected.
    pub(super) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Commits what was sent, if anything; with `always`, also if nothing was sent.
    pub(super) async fn finish(&mut self, always: bool) -> Result<(), Error> {
        if always || self.uncommitted > 0 {
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Sends the operations of a page and, if it is due, a checkpoint that covers everything sent so far.
    pub(super) async fn send(&mut self, emission: Emission) -> Result<(), Error> {
        self.uncommitted += emission.changes.len() + usize::from(emission.has_learnt);
        let warnings = emission
            .warnings
            .into_iter()
            .map(|message| Op::Warning { message });
        let changes = emission.changes.into_iter().map(|change| match change {
            Change::Upsert(row) | Change::BackfillOnly(row) => Op::Upsert {
                table: row.table().name,
                row,
            },
            Change::Delete(table, id) => Op::Delete {
                table: table.name,
                id,
            },
            Change::Truncate(table) => Op::Truncate { table: table.name },
        });
        let ops: Vec<Op> = warnings.chain(changes).collect();
        if !ops.is_empty() {
            self.post(ops).await?;
        }
        if self.is_checkpoint_due() {
            self.checkpoint().await?;
        }
        Ok(())
    }

    /// Returns true if a checkpoint is due: after each page, unless the state is larger than what it would commit.
    fn is_checkpoint_due(&self) -> bool {
        let waited = match (self.now, self.checkpoint_at) {
            (Some(now), Some(at)) => now - at,
            _ => self.checkpoint_every.max(CHECKPOINT_WITHIN),
        };
        // The longer delay applies: the one that the user wants, or the one that the size of the state requires.
        let is_worth = self.uncommitted * CHANGE_BYTES >= self.checkpoint_bytes;
        waited >= self.checkpoint_every && (waited >= CHECKPOINT_WITHIN || is_worth)
    }

    /// Returns the state as JSON, as the next checkpoint will contain it.
    pub(super) fn bound(&mut self) -> Result<String, Error> {
        self.collect();
        let (json, has_dropped) = self.state.bounded_json(self.state_bytes)?;
        // The readers still have what the state dropped, and a later state may have room for it.
        for reading in &mut self.readings {
            reading.has_changed |= has_dropped;
        }
        Ok(json)
    }

    async fn checkpoint(&mut self) -> Result<(), Error> {
        let state_json = self.bound()?;
        self.checkpoint_bytes = state_json.len();
        self.checkpoint_at = self.now;
        self.uncommitted = 0;
        self.post(vec![Op::Checkpoint { state_json }]).await
    }

    async fn post(&mut self, ops: Vec<Op>) -> Result<(), Error> {
        self.outbox
            .send(Ok(ops))
            .await
            .map_err(|_| Error::CallerGone)
    }
}
