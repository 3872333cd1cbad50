//! The engine: one loop that sends the requests of the strategies and the operations that they return.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Error, Outbox, Selection, State, SyncQuota, SyncSettings,
    fetch::{FetchResult, PageParsers, PendingRequest},
    offset::SMALLEST_PAGE,
    row_warnings::RowWarnings,
    schedule::{InFlight, Schedule, SyncHandle},
    selection::Group,
    server_row::server_row,
    session::SyncSession,
    strategies::{Change, Emission, FetchedPage, NextPage, Poll, Response},
    table_failure::{TableFailure, exists, note_absent, stepped_back},
    unreadable::PageWithGaps,
};
use crate::{
    clock::Clock,
    messages,
    prefect::{self, Collection, ListRequest, PrefectApi, TimeRange},
    rows::{Context, PageReader},
    tables::{self, Strategy, Table},
    telemetry::{Event, Telemetry},
};

/// The number of groups of tables that are read concurrently.
const TABLES_AT_ONCE: usize = 4;

/// Everything that a sync needs, except the selection and the saved state.
pub struct Engine<A> {
    /// The server.
    pub api: Arc<A>,
    /// The local clock, used if the server's responses have no `Date` header.
    pub clock: Arc<dyn Clock>,
    /// The receiver of events about the sync.
    pub telemetry: Telemetry,
    /// The number of objects per request.
    pub page_size: u32,
    /// The number of concurrent requests for one table. The client limits them to what the server can handle.
    pub in_flight: SyncQuota,
    /// The values that all rows share.
    pub context: Context,
    /// The user's settings.
    pub settings: SyncSettings,
    /// The identity of the workspace: account and workspace id, or the URL; see [`State::parse`].
    pub workspace: String,
    /// The time for which the server keeps ended runs; `None`: forever.
    pub retention: Option<TimeDelta>,
    /// The largest size of the state, in bytes: [`STATE_BYTES`](super::STATE_BYTES).
    pub state_bytes: usize,
    /// The token that stops the sync: the page in progress is still sent and committed.
    pub stop: CancellationToken,
    /// The order in which the tables take turns.
    pub schedule: Schedule,
}

impl<A: PrefectApi + 'static> Engine<A> {
    /// Runs one sync. If it fails, the error is the last message that `outbox` receives.
    pub async fn run(&self, selection: &Selection, state_json: Option<&str>, outbox: Outbox) {
        let ended = match State::parse(state_json, &self.workspace) {
            Ok(state) => self.sync(selection, state, outbox.clone()).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            // A caller that has disconnected cannot receive the error.
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
        state.renew();
        let last = state.now;
        let limit = self.page_size.max(SMALLEST_PAGE);
        let session = Mutex::new(SyncSession::new(
            state,
            outbox,
            limit,
            (self.state_bytes, self.settings.checkpoint_every),
        ));
        let handle = SyncHandle {
            schedule: &self.schedule,
            who: 0,
            session: &session,
        };
        if let Some(sentence) = moved {
            self.warn(&mut *handle.lock().await, vec![sentence]).await?;
        }
        let mut results = self.read_tables(selection, handle).await;
        if let Some(stepped) = stepped_back(&results) {
            let mut shared_now = handle.lock().await;
            shared_now.rewind(stepped.now);
            let text = messages::STEPPED_BACK.format(format_args!(
                "{} clock stepped back from {} to {}: rows that were read by that clock are read and sent again",
                if shared_now.is_undated {
                    "this machine's"
                } else {
                    "the server's"
                },
                stepped.before, stepped.now
            ));
            self.warn(&mut shared_now, vec![text]).await?;
            drop(shared_now);
            results = self.read_tables(selection, handle).await;
        }
        let ended = self.combine_results(results, handle).await;
        let mut session = handle.lock().await;
        if ended.is_ok() {
            let rarely = self.comes_rarely(last, session.now);
            self.warn(&mut session, rarely).await?;
            session.bound()?;
            let sentences = selection.tables.iter().filter_map(|selected| {
                let what = session.state.untracked(selected)?;
                let text = format_args!("table {}: {what}", selected.table.name);
                Some(messages::STATE_FULL.format(text))
            });
            let sentences = sentences.collect();
            self.warn(&mut session, sentences).await?;
        }
        // Rows that were sent are committed even if the sync fails. A successful sync that found nothing ends with a
        // state, too.
        session.finish(ended.is_ok()).await?;
        ended
    }

    /// Returns a warning if more than half of the server's retention has passed since the last sync.
    fn comes_rarely(&self, last: Option<DateTime<Utc>>, now: Option<DateTime<Utc>>) -> Vec<String> {
        let (Some(retention), Some(last), Some(now)) = (self.retention, last, now) else {
            return Vec::new();
        };
        let pause = now - last;
        if pause <= retention / 2 {
            return Vec::new();
        }
        let text = format!(
            "the last sync was {} hours ago, and Prefect deletes runs after {} days (retention_days): {}",
            pause.num_hours(),
            retention.num_days(),
            if pause < retention {
                "sync more often, or data will be lost"
            } else {
                "data that it deleted before this sync is lost"
            }
        );
        vec![messages::RARELY.format(text)]
    }

    /// Reads all tables concurrently and returns the results in the order in which the tables are read. The server's
    /// own table comes last, because its row contains what was found while the others were read.
    async fn read_tables(
        &self,
        selection: &Selection,
        handle: SyncHandle<'_>,
    ) -> Vec<Result<(), TableFailure>> {
        let is_server = |group: &Group| matches!(group.source.strategy, Strategy::Server);
        let (last, first): (Vec<Group>, Vec<Group>) =
            selection.groups().into_iter().partition(is_server);
        let mut results = Vec::new();
        let mut who = 0;
        for groups in [first, last] {
            let readings = groups.iter().map(|group| {
                who += 1;
                self.read_group(group, handle.for_group(who))
            });
            // Collected first because the compiler cannot prove that the lazy iterator is `Send`.
            let readings: Vec<_> = readings.collect();
            let more: Vec<_> = stream::iter(readings)
                .buffered(TABLES_AT_ONCE)
                .collect()
                .await;
            results.extend(more);
            if results.iter().any(|result| !exists(result)) {
                break;
            }
            // Checked before the server's own row is read, because that row needs no endpoint of a table.
            if !results.iter().any(Result::is_ok)
                && let Err(wrong) = self.check_address().await
            {
                results.push(Err(wrong.into()));
                break;
            }
            note_absent(&results, &mut *handle.lock().await);
        }
        results
    }

    /// Requests a table that every server has, because none of the selected tables was read. A 404 means that the
    /// address is not that of a Prefect API. (Any other response shows that an API is there.)
    async fn check_address(&self) -> Result<(), Error> {
        let Some(flows) = tables::find("flows") else {
            return Ok(());
        };
        let reader = PageReader::new(flows, &self.context);
        let request = ListRequest {
            collection: Collection(flows.endpoint),
            limit: SMALLEST_PAGE,
            ..ListRequest::default()
        };
        match self
            .api
            .list_briefly(&request, |body| reader.read(body))
            .await
        {
            Err(error @ prefect::Error::NotFound { .. }) => Err(Error::NothingThere(error)),
            _ => Ok(()),
        }
    }

    /// Reads the tables of one listing completely.
    async fn read_group(&self, group: &Group, handle: SyncHandle<'_>) -> Result<(), TableFailure> {
        let table = group.source;
        self.telemetry
            .publish(&Event::TableStarted { table: table.name });
        let readers = PageParsers::new(table, &self.context);
        let mut notes = RowWarnings::default();
        let (at, outbox) = {
            let mut session = handle.lock().await;
            let chosen = (&self.context, &self.settings);
            (session.begin(group, chosen), session.outbox())
        };
        // The requests are tasks, so that responses arrive while earlier rows wait for a slow receiver.
        let mut pending = InFlight::new(handle.who);
        loop {
            while pending.len() < self.in_flight.now() {
                let mut session = handle.lock().await;
                let limit = session.limit;
                let Poll::Request(ticket, ask) = session.next(at) else {
                    break;
                };
                if let Some(TimeRange { after, before }) = ask.range() {
                    self.telemetry.publish(&Event::Window {
                        table: table.name,
                        kind: session.readings[at].reader().window_kind(),
                        from: after,
                        to: before,
                        now: session.now,
                    });
                }
                let request = PendingRequest {
                    ticket,
                    ask: *ask,
                    limit,
                };
                let api = Arc::clone(&self.api);
                pending.ask(request.put(api, readers.clone(), outbox.clone()));
            }
            let Some(answered) = pending.next(&self.schedule).await else {
                break;
            };
            let (request, reply) = answered.map_err(|_| Error::Panicked)?;
            self.handle_reply(at, &request, reply?, &mut notes, handle)
                .await?;
            if self.stop.is_cancelled() {
                return Err(TableFailure::Failed(Error::Stopped));
            }
        }
        self.telemetry
            .publish(&Event::TableDone { table: table.name });
        let mut session = handle.lock().await;
        let mut warnings = notes.sentences();
        warnings.extend(session.readings[at].reader().remarks());
        let emission = Emission {
            warnings,
            ..Emission::default()
        };
        self.publish_page(table.name, 0, &emission);
        session.state.absent.remove(table.name);
        Ok(session.send(emission).await?)
    }

    /// Gives a reply to the strategy, and sends the strategy's operations to the outbox.
    async fn handle_reply(
        &self,
        at: usize,
        request: &PendingRequest,
        reply: Result<FetchResult, prefect::Error>,
        notes: &mut RowWarnings,
        handle: SyncHandle<'_>,
    ) -> Result<(), TableFailure> {
        let mut session = handle.lock_for(request.ticket).await;
        let table = session.readings[at].table();
        let mut answer = match reply {
            Ok(FetchResult::Page(page, more)) => {
                let now = self
                    .server_time(page.listed.server_time, &mut session)
                    .await?;
                Response::Page(rows(table, (page, more), request.limit, now, notes)?)
            }
            Ok(FetchResult::Nothing) => {
                let now = session
                    .now
                    .unwrap_or_else(|| self.schedule.now(&*self.clock));
                Response::Page(FetchedPage::none(request.limit, now))
            }
            Ok(FetchResult::NotKnown) => {
                let now = session
                    .now
                    .unwrap_or_else(|| self.schedule.now(&*self.clock));
                Response::Page(FetchedPage {
                    gaps: vec![0],
                    ..FetchedPage::none(request.limit, now)
                })
            }
            Ok(FetchResult::Server(version, about)) => {
                let now = self.server_time(about.server_time, &mut session).await?;
                let row = server_row(
                    table,
                    version.as_deref(),
                    &about,
                    &mut session,
                    &self.context,
                );
                session.state.note_version(version.as_deref());
                Response::Page(FetchedPage {
                    objects: row.iter().len(),
                    list: row.into_iter().collect(),
                    ..FetchedPage::none(request.limit, now)
                })
            }
            Ok(FetchResult::Failed) => Response::Failed,
            Ok(FetchResult::Count(count)) => Response::Count(count),
            Err(prefect::Error::LimitTooLarge { max })
                if max < request.limit && request.limit > SMALLEST_PAGE =>
            {
                // A limit that was lowered before is at least halved, so that it is soon small enough.
                let is_lowered = request.limit < self.page_size;
                let most = if is_lowered { request.limit / 2 } else { max };
                session.limit = session.limit.min(max).min(most).max(SMALLEST_PAGE);
                session.readings[at].reader_mut().retry(request.ticket);
                return Ok(());
            }
            Err(prefect::Error::Rejected {
                status: 422,
                ref detail,
                ..
            }) if session.readings[at]
                .reader_mut()
                .refused(request.ticket, detail) =>
            {
                return Ok(());
            }
            Err(prefect::Error::NotFound { .. })
                if session.readings[at].reader_mut().missing(request.ticket) =>
            {
                return Ok(());
            }
            Err(source) => {
                return Err(TableFailure::Failed(Error::Prefect {
                    table: table.name,
                    source,
                }));
            }
        };
        if let Response::Page(page) = &mut answer {
            session.note_times(page);
        }
        let read = match &answer {
            Response::Page(rows) => rows.objects as u64,
            Response::Failed | Response::Count(_) => 0,
        };
        let mut emission = session.accept(at, request.ticket, answer);
        let stuck = emission.stuck.take();
        if let Some(now) = session.now {
            for change in &emission.changes {
                if let Change::Upsert(row) | Change::BackfillOnly(row) = change {
                    notes.row(row, now);
                }
            }
        }
        self.publish_page(table.name, read, &emission);
        session.send(emission).await?;
        match stuck {
            Some(source) => Err(TableFailure::Failed(Error::NoProgress {
                table: table.name,
                source,
            })),
            None => Ok(()),
        }
    }

    /// Returns the server's time, or this machine's time if the response has no `Date` header.
    async fn server_time(
        &self,
        reported: Option<DateTime<Utc>>,
        session: &mut SyncSession,
    ) -> Result<DateTime<Utc>, TableFailure> {
        let now = if let Some(now) = reported {
            now
        } else {
            if !std::mem::replace(&mut session.is_undated, true) {
                let text = "Prefect's responses carry no time (no Date header): this machine's clock is used instead";
                self.warn(session, vec![messages::NO_DATE.format(text)])
                    .await?;
            }
            self.schedule.now(&*self.clock)
        };
        Ok(session.tell_time(now)?)
    }

    /// Combines the results of all tables into the result of the sync. Tables that this server does not have, or that
    /// the key may not read, are skipped. A key that may read no table is an error. Of other errors the first is
    /// returned.
    async fn combine_results(
        &self,
        results: Vec<Result<(), TableFailure>>,
        handle: SyncHandle<'_>,
    ) -> Result<(), Error> {
        let mut forbidden = Vec::new();
        let mut some = false;
        for result in results {
            match result {
                Ok(()) => some = true,
                Err(TableFailure::Failed(Error::Prefect { table, source })) => match source {
                    prefect::Error::NotFound { .. } => {}
                    prefect::Error::Forbidden { .. } => forbidden.push((table, source)),
                    source => return Err(Error::Prefect { table, source }),
                },
                Err(TableFailure::Failed(error)) => return Err(error),
                // The first step back was already reported. A clock that steps back again is not followed.
                Err(TableFailure::SteppedBack(_)) => return Err(Error::ClockUnsteady),
            }
        }
        if !some && let Some((table, source)) = forbidden.pop() {
            return Err(Error::Prefect { table, source });
        }
        let refused = forbidden.iter().map(|(table, source)| {
            messages::TABLE_SKIPPED.format(format_args!("table {table} was skipped: {source}"))
        });
        let mut session = handle.lock().await;
        let sentences = session.newly_absent.drain(..).map(|table| {
            messages::TABLE_SKIPPED.format(format_args!(
                "table {} was skipped: this server does not have it (404 at {}){}",
                table.name,
                table.endpoint,
                match table.releases {
                    "" => String::new(),
                    releases => format!("; Prefect has it in {releases}"),
                }
            ))
        });
        let sentences: Vec<String> = sentences.collect();
        self.warn(&mut session, refused.chain(sentences).collect())
            .await
    }

    /// Publishes a page and its warnings as events.
    fn publish_page(&self, table: &'static str, read: u64, emission: &Emission) {
        if read > 0 {
            self.telemetry.publish(&Event::Page { table, read });
        }
        for message in &emission.warnings {
            self.telemetry.publish(&Event::Warning {
                message: message.clone(),
            });
        }
    }

    async fn warn(&self, session: &mut SyncSession, warnings: Vec<String>) -> Result<(), Error> {
        let emission = Emission {
            warnings,
            ..Emission::default()
        };
        self.publish_page("", 0, &emission);
        session.send(emission).await
    }
}

/// Converts a page into the form that strategies take.
fn rows(
    table: &'static Table,
    (around, more): (PageWithGaps, NextPage),
    limit: u32,
    now: DateTime<Utc>,
    notes: &mut RowWarnings,
) -> Result<FetchedPage, Error> {
    let PageWithGaps {
        listed,
        gaps,
        offsets,
        wanted,
    } = around;
    let limit = wanted.unwrap_or(limit);
    let page = listed.page;
    let objects = page.objects() + gaps.len();
    // Unreadable objects are found by several readers, so that the table's own reader counts them.
    for bad in &page.bad {
        notes.bad_row(table, *bad);
    }
    // One more object was requested for each unreadable one.
    let most = limit.saturating_add(u32::try_from(gaps.len()).unwrap_or(u32::MAX));
    // Without a row the next page has no position to begin at. (A short page is the last one.)
    let is_full = objects >= most as usize;
    if page.rows.is_empty() && objects > 0 && (gaps.is_empty() || is_full) {
        // No Prefect collection returns such a page.
        return Err(Error::Prefect {
            table: table.name,
            source: prefect::Error::NotPrefect {
                url: table.endpoint.to_owned(),
                why: "none of the objects has an id".to_owned(),
            },
        });
    }
    Ok(FetchedPage {
        list: page.rows,
        objects,
        gaps,
        gap_offsets: offsets,
        limit: most,
        now,
        mark: now,
        more,
    })
}
