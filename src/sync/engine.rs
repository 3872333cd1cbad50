//! The engine: one loop that reads what the strategies ask for and sends what they give.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Error, Op, SelectedTable, Selection, State,
    notes::Notes,
    paging::SMALLEST_PAGE,
    strategies::{self, Rows},
};
use crate::{
    clock::Clock,
    prefect::{self, Page, PrefectApi},
    rows::{Context, Flattener},
    telemetry::{Event, Telemetry},
};

/// Where the operations of a sync go: those of a step together, at the end an error if there is one.
pub type Outbox = mpsc::Sender<Result<Vec<Op>, Error>>;

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

/// What changes while a sync goes on.
struct Progress<'a> {
    state: State,
    outbox: &'a Outbox,
    /// The server's time when the sync began.
    now: Option<DateTime<Utc>>,
    /// Objects per request; the server may allow fewer than configured.
    limit: u32,
}

impl<A: PrefectApi> Engine<A> {
    /// Runs one sync; its end, good or bad, is the last thing that `outbox` gets to hear.
    pub async fn run(&self, selection: &Selection, state_json: Option<&str>, outbox: Outbox) {
        let ended = self.sync(selection, state_json, &outbox).await;
        if let Err(error) = ended {
            // A caller that went away does not hear why.
            let _ = outbox.send(Err(error)).await;
        }
    }

    async fn sync(
        &self,
        selection: &Selection,
        state_json: Option<&str>,
        outbox: &Outbox,
    ) -> Result<(), Error> {
        let mut progress = Progress {
            state: State::parse(state_json, &self.workspace)?,
            outbox,
            now: None,
            limit: self.page_size.max(SMALLEST_PAGE),
        };
        let mut missing = Vec::new();
        for selected in &selection.tables {
            match self.read_table(selected, &mut progress).await {
                Err(Error::Prefect {
                    source: source @ prefect::Error::NotFound { .. },
                    ..
                }) => missing.push((selected.table.name, source)),
                result => result?,
            }
        }
        self.report_missing(missing, selection, &progress).await?;
        // Also a sync that found nothing ends with a state.
        progress.send(Vec::new(), true).await
    }

    /// Reads one table to its end.
    async fn read_table(
        &self,
        selected: &SelectedTable,
        progress: &mut Progress<'_>,
    ) -> Result<(), Error> {
        let table = selected.table;
        self.telemetry
            .publish(&Event::TableStarted { table: table.name });
        let flattener = Flattener::new(table);
        let mut reader = strategies::start(table, progress.state.reader(selected));
        let mut notes = Notes::default();
        while let Some(request) = reader.next(progress.limit) {
            let page = match self.fetch(&request, progress.outbox).await? {
                Ok(page) => page,
                Err(prefect::Error::LimitTooLarge { max }) if max < progress.limit => {
                    progress.limit = max.max(SMALLEST_PAGE);
                    continue;
                }
                Err(source) => {
                    return Err(Error::Prefect {
                        table: table.name,
                        source,
                    });
                }
            };
            let rows = self
                .flatten(&flattener, &page, progress, &mut notes)
                .await?;
            let read = rows.objects as u64;
            let send = reader.accept(rows);
            progress.state.set(selected, reader.state());
            self.telemetry.publish(&Event::Page {
                table: table.name,
                read,
                sent: send.len() as u64,
            });
            let ops = send
                .into_iter()
                .map(|row| Op::Upsert {
                    table: table.name,
                    row,
                })
                .collect();
            progress.send(ops, true).await?;
            if self.stop.is_cancelled() {
                return Err(Error::Stopped);
            }
        }
        self.telemetry
            .publish(&Event::TableDone { table: table.name });
        self.warn(notes.sentences(table.name), progress).await
    }

    /// Asks for a page; gives up when nobody listens any more.
    async fn fetch(
        &self,
        request: &prefect::ListRequest,
        outbox: &Outbox,
    ) -> Result<Result<Page, prefect::Error>, Error> {
        tokio::select! {
            page = self.api.list(request) => Ok(page),
            () = outbox.closed() => Err(Error::CallerGone),
        }
    }

    async fn flatten(
        &self,
        flattener: &Flattener,
        page: &Page,
        progress: &mut Progress<'_>,
        notes: &mut Notes,
    ) -> Result<Rows, Error> {
        let now = match (progress.now, page.server_time) {
            (Some(now), _) => now,
            (None, Some(server_time)) => server_time,
            (None, None) => {
                let text = "Prefect's answers carry no time (no Date header): this machine's clock is used instead";
                self.warn(vec![text.to_owned()], progress).await?;
                self.clock.now()
            }
        };
        progress.now = Some(now);
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
            limit: progress.limit,
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

    /// Tables that this server does not have are skipped; all of them missing is a wrong address.
    async fn report_missing(
        &self,
        mut missing: Vec<(&'static str, prefect::Error)>,
        selection: &Selection,
        progress: &Progress<'_>,
    ) -> Result<(), Error> {
        if missing.len() == selection.tables.len()
            && let Some((_, source)) = missing.pop()
        {
            return Err(Error::NothingThere(source));
        }
        let sentences = missing
            .iter()
            .map(|(table, source)| format!("table {table} was skipped: {source}"))
            .collect();
        self.warn(sentences, progress).await
    }

    async fn warn(&self, sentences: Vec<String>, progress: &Progress<'_>) -> Result<(), Error> {
        if sentences.is_empty() {
            return Ok(());
        }
        for message in &sentences {
            self.telemetry.publish(&Event::Warning {
                message: message.clone(),
            });
        }
        let warnings = sentences
            .into_iter()
            .map(|message| Op::Warning { message })
            .collect();
        progress.send(warnings, false).await
    }
}

impl Progress<'_> {
    /// Sends the operations of a step; with them the state that stands for everything sent so far.
    async fn send(&self, mut ops: Vec<Op>, checkpoint: bool) -> Result<(), Error> {
        if checkpoint {
            ops.push(Op::Checkpoint {
                state_json: self.state.to_json()?,
            });
        }
        self.outbox
            .send(Ok(ops))
            .await
            .map_err(|_| Error::CallerGone)
    }
}
