//! The engine: one loop that asks what the strategies want to know and sends what they give.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Error, Outbox, SelectedTable, Selection, State,
    notes::Notes,
    paging::SMALLEST_PAGE,
    recent::MARGIN,
    shared::{Shared, SteppedBack},
    strategies::{self, Answer, Ask, Rows, Step},
};
use crate::{
    clock::Clock,
    prefect::{self, Page, PrefectApi},
    rows::{Context, Flattener},
    telemetry::{Event, Telemetry},
};

/// Tables read side by side; each has one request under way at most.
const TABLES_AT_ONCE: usize = 4;

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
    /// The most that the state may take, in bytes: [`STATE_BYTES`](super::STATE_BYTES).
    pub state_bytes: usize,
    /// Trips when the connector is to stop: the page under way is finished and checkpointed.
    pub stop: CancellationToken,
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

    async fn sync(
        &self,
        selection: &Selection,
        mut state: State,
        outbox: Outbox,
    ) -> Result<(), Error> {
        let moved = self.recognise(&mut state).await?;
        let limit = self.page_size.max(SMALLEST_PAGE);
        let shared = Mutex::new(Shared::new(state, outbox, limit, self.state_bytes));
        if let Some(sentence) = moved {
            self.warn(&mut *shared.lock().await, vec![sentence]).await?;
        }
        let mut results = self.read_tables(selection, &shared).await;
        if let Some(stepped) = stepped_back(&results) {
            let mut shared_now = shared.lock().await;
            shared_now.state.rewind(stepped.now);
            let text = format!(
                "{} clock stepped back from {} to {}: what was read by its time is read again and sent once more",
                if shared_now.is_undated {
                    "this machine's"
                } else {
                    "the server's"
                },
                stepped.before,
                stepped.now
            );
            self.warn(&mut shared_now, vec![text]).await?;
            drop(shared_now);
            results = self.read_tables(selection, &shared).await;
        }
        let ended = self.judge(results, selection, &shared).await;
        let mut shared = shared.lock().await;
        if ended.is_ok() {
            let sentences = selection.tables.iter().filter_map(|selected| {
                let what = shared.state.untracked(selected)?;
                Some(format!("table {}: {what}", selected.table.name))
            });
            let sentences = sentences.collect();
            self.warn(&mut shared, sentences).await?;
        }
        // What was sent is committed, also when the sync ends badly; and a sync that found nothing
        // ends with a state, too.
        shared.finish(ended.is_ok()).await?;
        ended
    }

    /// Side by side; the results in the order in which the tables are listed.
    async fn read_tables(
        &self,
        selection: &Selection,
        shared: &Mutex<Shared>,
    ) -> Vec<Result<(), Halt>> {
        let mut readings = Vec::new();
        for selected in &selection.tables {
            readings.push(self.read_table(selected, shared));
        }
        stream::iter(readings)
            .buffered(TABLES_AT_ONCE)
            .collect()
            .await
    }

    /// Reads one table to its end.
    async fn read_table(
        &self,
        selected: &SelectedTable,
        shared: &Mutex<Shared>,
    ) -> Result<(), Halt> {
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
                    return Err(Halt::Failed(Error::Prefect {
                        table: name,
                        source,
                    }));
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
                return Err(Halt::Failed(Error::Stopped));
            }
        }
        self.telemetry.publish(&Event::TableDone { table: name });
        let warnings = notes.sentences(name);
        let step = Step {
            changes: Vec::new(),
            warnings,
        };
        self.tell(name, 0, &step);
        Ok(shared.lock().await.send(name, step).await?)
    }

    /// Asks; gives up when nobody listens any more.
    async fn ask(
        &self,
        ask: &Ask,
        shared: &Mutex<Shared>,
    ) -> Result<Result<Reply, prefect::Error>, Error> {
        let outbox = shared.lock().await.outbox();
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
    ) -> Result<DateTime<Utc>, Halt> {
        let mut shared = shared.lock().await;
        let now = if let Some(now) = page.server_time {
            now
        } else {
            if !std::mem::replace(&mut shared.is_undated, true) {
                let text = "Prefect's answers carry no time (no Date header): this machine's clock is used instead";
                self.warn(&mut shared, vec![text.to_owned()]).await?;
            }
            self.clock.now()
        };
        Ok(shared.tell_time(now)?)
    }

    fn flatten(
        &self,
        flattener: &Flattener,
        page: &Page,
        limit: u32,
        now: DateTime<Utc>,
        notes: &mut Notes,
    ) -> Result<Rows, Error> {
        let updated = flattener.table().position("updated").unwrap_or(usize::MAX);
        let mut flatten = |raw: &RawValue| {
            flattener
                .flatten(raw, &self.context)
                .inspect(|flattened| {
                    notes.row(flattened);
                    if flattened.row.instant(updated) > Some(now + MARGIN) {
                        notes.ahead();
                    }
                })
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
        results: Vec<Result<(), Halt>>,
        selection: &Selection,
        shared: &Mutex<Shared>,
    ) -> Result<(), Error> {
        let mut missing = Vec::new();
        for result in results {
            match result {
                Ok(()) => {}
                Err(Halt::Failed(Error::Prefect {
                    table,
                    source: source @ prefect::Error::NotFound { .. },
                })) => missing.push((table, source)),
                Err(Halt::Failed(error)) => return Err(error),
                // It was told; a clock that does it again is not followed.
                Err(Halt::SteppedBack(_)) => return Err(Error::ClockUnsteady),
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

/// Why the reading of a table ends early.
enum Halt {
    Failed(Error),
    /// At the first answer: nothing was read.
    SteppedBack(SteppedBack),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<SteppedBack> for Halt {
    fn from(stepped: SteppedBack) -> Self {
        Self::SteppedBack(stepped)
    }
}

fn stepped_back(results: &[Result<(), Halt>]) -> Option<&SteppedBack> {
    results.iter().find_map(|result| match result {
        Err(Halt::SteppedBack(stepped)) => Some(stepped),
        _ => None,
    })
}

/// The server's answer to an [`Ask`].
enum Reply {
    Page(Page),
    Count(Option<u64>),
}
