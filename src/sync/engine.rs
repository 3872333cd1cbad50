//! The engine: one loop that asks what the strategies want to know and sends what they give.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use serde_json::value::RawValue;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Op, SelectedTable, Selection, State,
    notes::Notes,
    paging::SMALLEST_PAGE,
    strategies::{self, Answer, Ask, Change, Rows, Step},
};
use crate::{
    clock::Clock,
    prefect::{self, Page, PrefectApi},
    rows::{Context, Flattener},
    telemetry::{Event, Telemetry},
};

/// Where the operations of a sync go: those of a step together, at the end an error if there is one.
pub type Outbox = mpsc::Sender<Result<Vec<Op>, Error>>;

/// Tables read side by side; each has one request under way at most.
const TABLES_AT_ONCE: usize = 4;

/// How long a checkpoint may wait because the state is larger than what it would commit.
const CHECKPOINT_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// What a change is taken to weigh when it is compared with the state, in bytes: about a run.
const CHANGE_BYTES: usize = 2_048;

/// Everything a sync needs, besides what it is told to read.
pub struct Engine<A> {
    /// The server.
    pub api: A,
    /// For the case that the server's answers carry no time.
    pub clock: Arc<dyn Clock>,
    /// Who hears what happens.
    pub telemetry: Telemetry,
    /// Objects per request.
    pub page_size: u32,
    /// What every row shares.
    pub context: Context,
    /// What tells the workspace from every other one; see [`State::parse`].
    pub workspace: String,
    /// Trips when the connector is to stop: the page under way is finished and checkpointed.
    pub stop: CancellationToken,
}

/// What the tables of a sync share. Whoever sends holds it, so that a checkpoint never stands for a
/// row that was not sent before it.
struct Shared {
    state: State,
    outbox: Outbox,
    /// The server's time at the latest answer: never steps back.
    now: Option<DateTime<Utc>>,
    /// Objects per request; the server may allow fewer than configured.
    limit: u32,
    /// Changes sent since the last checkpoint.
    uncommitted: usize,
    checkpoint_bytes: usize,
    checkpoint_at: Option<DateTime<Utc>>,
}

impl<A: PrefectApi> Engine<A> {
    /// Runs one sync; its end, good or bad, is the last thing that `outbox` gets to hear.
    pub async fn run(&self, selection: &Selection, state_json: Option<&str>, outbox: Outbox) {
        let ended = match State::parse(state_json, &self.workspace) {
            Ok(state) => self.sync(selection, state, outbox.clone()).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            // A caller that went away does not hear why.
            let _ = outbox.send(Err(error)).await;
        }
    }

    async fn sync(&self, selection: &Selection, state: State, outbox: Outbox) -> Result<(), Error> {
        let shared = Mutex::new(Shared {
            state,
            outbox,
            now: None,
            limit: self.page_size.max(SMALLEST_PAGE),
            uncommitted: 0,
            checkpoint_bytes: 0,
            checkpoint_at: None,
        });
        let mut readings = Vec::new();
        for selected in &selection.tables {
            readings.push(self.read_table(selected, &shared));
        }
        // In the order in which the tables are listed.
        let results: Vec<Result<(), Error>> = stream::iter(readings)
            .buffered(TABLES_AT_ONCE)
            .collect()
            .await;
        let ended = self.judge(results, selection, &shared).await;
        let mut shared = shared.lock().await;
        // What was sent is committed, also when the sync ends badly; and a sync that found nothing
        // ends with a state, too.
        if ended.is_ok() || shared.uncommitted > 0 {
            shared.checkpoint().await?;
        }
        ended
    }

    /// Reads one table to its end.
    async fn read_table(
        &self,
        selected: &SelectedTable,
        shared: &Mutex<Shared>,
    ) -> Result<(), Error> {
        let table = selected.table;
        let name = table.name;
        self.telemetry.publish(&Event::TableStarted { table: name });
        let flattener = Flattener::new(table);
        let mut notes = Notes::default();
        let mut reader = {
            let shared = shared.lock().await;
            match shared.state.reader(selected) {
                Some((state, has_more)) => strategies::start(table, Some(state), has_more),
                None => strategies::start(table, None, false),
            }
        };
        loop {
            let limit = shared.lock().await.limit;
            let Some(ask) = reader.next(limit) else { break };
            let answer = match self.ask(&ask, shared).await? {
                Ok(Reply::Page(page)) => {
                    let now = self.server_time(&page, shared).await?;
                    Answer::Page(self.flatten(&flattener, &page, limit, now, &mut notes)?)
                }
                Ok(Reply::Count(count)) => Answer::Count(count),
                Err(prefect::Error::LimitTooLarge { max }) if max < limit => {
                    shared.lock().await.limit = max.max(SMALLEST_PAGE);
                    continue;
                }
                Err(prefect::Error::Rejected { status: 422, .. }) if reader.refused() => continue,
                Err(source) => {
                    return Err(Error::Prefect {
                        table: name,
                        source,
                    });
                }
            };
            let read = match &answer {
                Answer::Page(rows) => rows.objects as u64,
                Answer::Count(_) => 0,
            };
            let step = reader.accept(answer);
            let mut shared = shared.lock().await;
            shared.state.set(selected, reader.state());
            self.tell(name, read, &step);
            shared.send(name, step).await?;
            if self.stop.is_cancelled() {
                return Err(Error::Stopped);
            }
        }
        self.telemetry.publish(&Event::TableDone { table: name });
        let warnings = notes.sentences(name);
        let step = Step {
            changes: Vec::new(),
            warnings,
        };
        self.tell(name, 0, &step);
        shared.lock().await.send(name, step).await
    }

    /// Asks; gives up when nobody listens any more.
    async fn ask(
        &self,
        ask: &Ask,
        shared: &Mutex<Shared>,
    ) -> Result<Result<Reply, prefect::Error>, Error> {
        let outbox = shared.lock().await.outbox.clone();
        let reply = async {
            Ok(match ask {
                Ask::List(request) => Reply::Page(self.api.list(request).await?),
                Ask::Count(request) => Reply::Count(self.api.count(request).await?),
            })
        };
        tokio::select! {
            reply = reply => Ok(reply),
            () = outbox.closed() => Err(Error::CallerGone),
        }
    }

    /// The server's clock; this machine's where the answers carry no time.
    async fn server_time(
        &self,
        page: &Page,
        shared: &Mutex<Shared>,
    ) -> Result<DateTime<Utc>, Error> {
        let mut shared = shared.lock().await;
        let now = if let Some(now) = page.server_time {
            now
        } else {
            if shared.now.is_none() {
                let text = "Prefect's answers carry no time (no Date header): this machine's clock is used instead";
                self.warn(&mut shared, vec![text.to_owned()]).await?;
            }
            self.clock.now()
        };
        let now = shared.now.map_or(now, |before| before.max(now));
        shared.now = Some(now);
        Ok(now)
    }

    fn flatten(
        &self,
        flattener: &Flattener,
        page: &Page,
        limit: u32,
        now: DateTime<Utc>,
        notes: &mut Notes,
    ) -> Result<Rows, Error> {
        let mut flatten = |raw: &RawValue| {
            flattener
                .flatten(raw, &self.context)
                .inspect(|flattened| notes.row(flattened))
                .inspect_err(|why| notes.bad_row(*why))
                .ok()
                .map(|flattened| flattened.row)
        };
        let rows = Rows {
            list: page.rows.iter().filter_map(|raw| flatten(raw)).collect(),
            objects: page.rows.len(),
            limit,
            now,
        };
        if rows.list.is_empty() && rows.objects > 0 {
            // No place to go on from, and no collection of Prefect's looks like this.
            return Err(Error::Prefect {
                table: flattener.table().name,
                source: prefect::Error::NotPrefect {
                    url: flattener.table().endpoint.to_owned(),
                    why: "none of the objects has an id".to_owned(),
                },
            });
        }
        Ok(rows)
    }

    /// What the tables' ends mean for the sync: tables that this server does not have are skipped, all
    /// of them missing is a wrong address, and of other failures the first is told.
    async fn judge(
        &self,
        results: Vec<Result<(), Error>>,
        selection: &Selection,
        shared: &Mutex<Shared>,
    ) -> Result<(), Error> {
        let mut missing = Vec::new();
        for result in results {
            match result {
                Err(Error::Prefect {
                    table,
                    source: source @ prefect::Error::NotFound { .. },
                }) => missing.push((table, source)),
                result => result?,
            }
        }
        if missing.len() == selection.tables.len()
            && let Some((_, source)) = missing.pop()
        {
            return Err(Error::NothingThere(source));
        }
        let sentences = missing
            .iter()
            .map(|(table, source)| format!("table {table} was skipped: {source}"))
            .collect();
        self.warn(&mut *shared.lock().await, sentences).await
    }

    /// Publishes what a step did.
    fn tell(&self, table: &'static str, read: u64, step: &Step) {
        if read > 0 {
            self.telemetry.publish(&Event::Page {
                table,
                read,
                sent: step.changes.len() as u64,
            });
        }
        for message in &step.warnings {
            self.telemetry.publish(&Event::Warning {
                message: message.clone(),
            });
        }
    }

    async fn warn(&self, shared: &mut Shared, warnings: Vec<String>) -> Result<(), Error> {
        let step = Step {
            changes: Vec::new(),
            warnings,
        };
        self.tell("", 0, &step);
        shared.send("", step).await
    }
}

/// The server's answer to an [`Ask`].
enum Reply {
    Page(Page),
    Count(Option<u64>),
}

impl Shared {
    /// Sends what a step of `table` gave, and the state that stands for everything sent so far.
    async fn send(&mut self, table: &'static str, step: Step) -> Result<(), Error> {
        self.uncommitted += step.changes.len();
        let warnings = step
            .warnings
            .into_iter()
            .map(|message| Op::Warning { message });
        let changes = step.changes.into_iter().map(|change| match change {
            Change::Upsert(row) => Op::Upsert { table, row },
            Change::Delete(id) => Op::Delete { table, id },
            Change::Truncate => Op::Truncate { table },
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

    /// A checkpoint follows each step; but a state that weighs more than what it would commit waits.
    fn is_checkpoint_due(&self) -> bool {
        let waited = match (self.now, self.checkpoint_at) {
            (Some(now), Some(at)) => now - at,
            _ => CHECKPOINT_WITHIN,
        };
        waited >= CHECKPOINT_WITHIN || self.uncommitted * CHANGE_BYTES >= self.checkpoint_bytes
    }

    async fn checkpoint(&mut self) -> Result<(), Error> {
        let state_json = self.state.to_json()?;
        self.checkpoint_bytes = state_json.len();
        self.checkpoint_at = self.now;
        self.uncommitted = 0;
        self.post(vec![Op::Checkpoint { state_json }]).await
    }

    async fn post(&self, ops: Vec<Op>) -> Result<(), Error> {
        self.outbox
            .send(Ok(ops))
            .await
            .map_err(|_| Error::CallerGone)
    }
}
