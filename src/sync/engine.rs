//! The engine: one loop that sends the requests of the strategies and the operations that they return.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Choices, Error, Outbox, Selection, Share, State,
    halt::{Halt, is_there_or_missing, note_absent, stepped_back},
    notes::Notes,
    order::{Order, Seat, UnderWay},
    paging::SMALLEST_PAGE,
    question::{Question, Readers, Reply},
    selection::Group,
    server_row::server_row,
    shared::Shared,
    strategies::{Answer, Change, More, Next, Rows, Step},
    unreadable::Around,
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
    pub in_flight: Share,
    /// The values that all rows share.
    pub context: Context,
    /// The user's settings.
    pub choices: Choices,
    /// The identity of the workspace: account and workspace id, or the URL; see [`State::parse`].
    pub workspace: String,
    /// The time for which the server keeps ended runs; `None`: forever.
    pub retention: Option<TimeDelta>,
    /// The largest size of the state, in bytes: [`STATE_BYTES`](super::STATE_BYTES).
    pub state_bytes: usize,
    /// The token that stops the sync: the page in progress is still sent and committed.
    pub stop: CancellationToken,
    /// The order in which the tables take turns.
    pub order: Order,
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
        let shared = Mutex::new(Shared::new(
            state,
            outbox,
            limit,
            (self.state_bytes, self.choices.checkpoint_every),
        ));
        let seat = Seat {
            order: &self.order,
            who: 0,
            shared: &shared,
        };
        if let Some(sentence) = moved {
            self.warn(&mut *seat.lock().await, vec![sentence]).await?;
        }
        let mut results = self.read_tables(selection, seat).await;
        if let Some(stepped) = stepped_back(&results) {
            let mut shared_now = seat.lock().await;
            shared_now.rewind(stepped.now);
            let text = messages::STEPPED_BACK.say(format_args!(
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
            results = self.read_tables(selection, seat).await;
        }
        let ended = self.judge(results, seat).await;
        let mut shared = seat.lock().await;
        if ended.is_ok() {
            let rarely = self.comes_rarely(last, shared.now);
            self.warn(&mut shared, rarely).await?;
            shared.bound()?;
            let sentences = selection.tables.iter().filter_map(|selected| {
                let what = shared.state.untracked(selected)?;
                let text = format_args!("table {}: {what}", selected.table.name);
                Some(messages::STATE_FULL.say(text))
            });
            let sentences = sentences.collect();
            self.warn(&mut shared, sentences).await?;
        }
        // Rows that were sent are committed even if the sync fails. A successful sync that found nothing ends with a
        // state, too.
        shared.finish(ended.is_ok()).await?;
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
        vec![messages::RARELY.say(text)]
    }

    /// Reads all tables concurrently and returns the results in the order in which the tables are read. The server's
    /// own table comes last, because its row contains what was found while the others were read.
    async fn read_tables(&self, selection: &Selection, seat: Seat<'_>) -> Vec<Result<(), Halt>> {
        let is_server = |group: &Group| matches!(group.source.strategy, Strategy::Server);
        let (last, first): (Vec<Group>, Vec<Group>) =
            selection.groups().into_iter().partition(is_server);
        let mut results = Vec::new();
        let mut who = 0;
        for groups in [first, last] {
            let readings = groups.iter().map(|group| {
                who += 1;
                self.read_group(group, seat.of(who))
            });
            // Collected first because the compiler cannot prove that the lazy iterator is `Send`.
            let readings: Vec<_> = readings.collect();
            let more: Vec<_> = stream::iter(readings)
                .buffered(TABLES_AT_ONCE)
                .collect()
                .await;
            results.extend(more);
            if results.iter().any(|result| !is_there_or_missing(result)) {
                break;
            }
            // Checked before the server's own row is read, because that row needs no endpoint of a table.
            if !results.iter().any(Result::is_ok)
                && let Err(wrong) = self.check_address().await
            {
                results.push(Err(wrong.into()));
                break;
            }
            note_absent(&results, &mut *seat.lock().await);
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
    async fn read_group(&self, group: &Group, seat: Seat<'_>) -> Result<(), Halt> {
        let table = group.source;
        self.telemetry
            .publish(&Event::TableStarted { table: table.name });
        let readers = Readers::new(table, &self.context);
        let mut notes = Notes::default();
        let (at, outbox) = {
            let mut shared = seat.lock().await;
            let chosen = (&self.context, &self.choices);
            (shared.begin(group, chosen), shared.outbox())
        };
        // The requests are tasks, so that responses arrive while earlier rows wait for a slow receiver.
        let mut asked = UnderWay::new(seat.who);
        loop {
            while asked.len() < self.in_flight.now() {
                let mut shared = seat.lock().await;
                let limit = shared.limit;
                let Next::Ask(ticket, ask) = shared.next(at) else {
                    break;
                };
                if let Some(TimeRange { after, before }) = ask.range() {
                    self.telemetry.publish(&Event::Window {
                        table: table.name,
                        reading: shared.readings[at].reader.reading(),
                        from: after,
                        to: before,
                        now: shared.now,
                    });
                }
                let question = Question {
                    ticket,
                    ask: *ask,
                    limit,
                };
                let api = Arc::clone(&self.api);
                asked.ask(question.put(api, readers.clone(), outbox.clone()));
            }
            let Some(answered) = asked.next(&self.order).await else {
                break;
            };
            let (question, reply) = answered.map_err(|_| Error::Panicked)?;
            self.take(at, &question, reply?, &mut notes, seat).await?;
            if self.stop.is_cancelled() {
                return Err(Halt::Failed(Error::Stopped));
            }
        }
        self.telemetry
            .publish(&Event::TableDone { table: table.name });
        let mut shared = seat.lock().await;
        let mut warnings = notes.sentences();
        warnings.extend(shared.readings[at].reader.remarks());
        let step = Step {
            warnings,
            ..Step::default()
        };
        self.tell(table.name, 0, &step);
        shared.state.absent.remove(table.name);
        Ok(shared.send(step).await?)
    }

    /// Gives a reply to the strategy, and sends the strategy's operations to the outbox.
    async fn take(
        &self,
        at: usize,
        question: &Question,
        reply: Result<Reply, prefect::Error>,
        notes: &mut Notes,
        seat: Seat<'_>,
    ) -> Result<(), Halt> {
        let mut shared = seat.lock_for(question.ticket).await;
        let table = shared.readings[at].table();
        let mut answer = match reply {
            Ok(Reply::Page(page, more)) => {
                let now = self
                    .server_time(page.listed.server_time, &mut shared)
                    .await?;
                Answer::Page(rows(table, (page, more), question.limit, now, notes)?)
            }
            Ok(Reply::Nothing) => {
                let now = shared.now.unwrap_or_else(|| self.order.now(&*self.clock));
                Answer::Page(Rows::none(question.limit, now))
            }
            Ok(Reply::NotKnown) => {
                let now = shared.now.unwrap_or_else(|| self.order.now(&*self.clock));
                Answer::Page(Rows {
                    gaps: vec![0],
                    ..Rows::none(question.limit, now)
                })
            }
            Ok(Reply::Server(version, about)) => {
                let now = self.server_time(about.server_time, &mut shared).await?;
                let row = server_row(
                    table,
                    version.as_deref(),
                    &about,
                    &mut shared,
                    &self.context,
                );
                shared.state.note_version(version.as_deref());
                Answer::Page(Rows {
                    objects: row.iter().len(),
                    list: row.into_iter().collect(),
                    ..Rows::none(question.limit, now)
                })
            }
            Ok(Reply::Failed) => Answer::Failed,
            Ok(Reply::Count(count)) => Answer::Count(count),
            Err(prefect::Error::LimitTooLarge { max })
                if max < question.limit && question.limit > SMALLEST_PAGE =>
            {
                // A limit that was lowered before is at least halved, so that it is soon small enough.
                let is_lowered = question.limit < self.page_size;
                let most = if is_lowered { question.limit / 2 } else { max };
                shared.limit = shared.limit.min(max).min(most).max(SMALLEST_PAGE);
                shared.readings[at].reader.again(question.ticket);
                return Ok(());
            }
            Err(prefect::Error::Rejected {
                status: 422,
                ref detail,
                ..
            }) if shared.readings[at].reader.refused(question.ticket, detail) => {
                return Ok(());
            }
            Err(prefect::Error::NotFound { .. })
                if shared.readings[at].reader.missing(question.ticket) =>
            {
                return Ok(());
            }
            Err(source) => {
                return Err(Halt::Failed(Error::Prefect {
                    table: table.name,
                    source,
                }));
            }
        };
        if let Answer::Page(page) = &mut answer {
            shared.note_times(page);
        }
        let read = match &answer {
            Answer::Page(rows) => rows.objects as u64,
            Answer::Failed | Answer::Count(_) => 0,
        };
        let mut step = shared.accept(at, question.ticket, answer);
        let stuck = step.stuck.take();
        if let Some(now) = shared.now {
            for change in &step.changes {
                if let Change::Upsert(row) | Change::Again(row) = change {
                    notes.row(row, now);
                }
            }
        }
        self.tell(table.name, read, &step);
        shared.send(step).await?;
        match stuck {
            Some(source) => Err(Halt::Failed(Error::NoProgress {
                table: table.name,
                source,
            })),
            None => Ok(()),
        }
    }

    /// Returns the server's time, or this machine's time if the response has no `Date` header.
    async fn server_time(
        &self,
        told: Option<DateTime<Utc>>,
        shared: &mut Shared,
    ) -> Result<DateTime<Utc>, Halt> {
        let now = if let Some(now) = told {
            now
        } else {
            if !std::mem::replace(&mut shared.is_undated, true) {
                let text = "Prefect's responses carry no time (no Date header): this machine's clock is used instead";
                self.warn(shared, vec![messages::NO_DATE.say(text)]).await?;
            }
            self.order.now(&*self.clock)
        };
        Ok(shared.tell_time(now)?)
    }

    /// Combines the results of all tables into the result of the sync. Tables that this server does not have, or that
    /// the key may not read, are skipped. A key that may read no table is an error. Of other errors the first is
    /// returned.
    async fn judge(&self, results: Vec<Result<(), Halt>>, seat: Seat<'_>) -> Result<(), Error> {
        let mut forbidden = Vec::new();
        let mut some = false;
        for result in results {
            match result {
                Ok(()) => some = true,
                Err(Halt::Failed(Error::Prefect { table, source })) => match source {
                    prefect::Error::NotFound { .. } => {}
                    prefect::Error::Forbidden { .. } => forbidden.push((table, source)),
                    source => return Err(Error::Prefect { table, source }),
                },
                Err(Halt::Failed(error)) => return Err(error),
                // The first step back was already reported. A clock that steps back again is not followed.
                Err(Halt::SteppedBack(_)) => return Err(Error::ClockUnsteady),
            }
        }
        if !some && let Some((table, source)) = forbidden.pop() {
            return Err(Error::Prefect { table, source });
        }
        let refused = forbidden.iter().map(|(table, source)| {
            messages::TABLE_SKIPPED.say(format_args!("table {table} was skipped: {source}"))
        });
        let mut shared = seat.lock().await;
        let sentences = shared.newly_absent.drain(..).map(|table| {
            messages::TABLE_SKIPPED.say(format_args!(
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
        self.warn(&mut shared, refused.chain(sentences).collect())
            .await
    }

    /// Publishes the page and the warnings of a step as events.
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
            warnings,
            ..Step::default()
        };
        self.tell("", 0, &step);
        shared.send(step).await
    }
}

/// Converts a page into the form that strategies take.
fn rows(
    table: &'static Table,
    (around, more): (Around, More),
    limit: u32,
    now: DateTime<Utc>,
    notes: &mut Notes,
) -> Result<Rows, Error> {
    let Around {
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
    Ok(Rows {
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
