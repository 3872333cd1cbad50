//! The events of a sync, kept for the HTML report at its end. The memory is bounded: a sync of a million runs takes
//! no more than one of a thousand, and every sum stays exact.

mod latency;
mod marks;
mod tally;
mod windows;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

pub use self::tally::Tally;
pub(super) use self::{
    latency::Latency,
    marks::{Mark, Marks},
    windows::Windows,
};
use sync_clock::Clock;
use sync_telemetry::{BUDGET, Event, Observer};

/// The name of the row for requests without a route.
const OTHER: &str = "other requests";
/// The name of the row for requests of setup tests.
const SETUP_TESTS: &str = "setup tests";
/// The most distinct reasons of waits that are kept. Later ones are counted together.
const MOST_REASONS: usize = 20;

/// The tables whose requests go to a path. The requests of tables that share a listing cannot be distinguished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The start of the path, such as `/work_pools/{}/workers`, where `{}` matches any one segment.
    pub path: &'static str,
    /// The tables.
    pub tables: Vec<&'static str>,
}

/// Records the events of a sync.
pub struct Timeline {
    clock: Arc<dyn Clock>,
    routes: Vec<Route>,
    seen: Mutex<RunTrace>,
}

/// The events recorded so far. All times except windows are relative to [`Timeline::new`].
#[derive(Debug, Clone, Default)]
pub struct RunTrace {
    pub(super) began: DateTime<Utc>,
    pub(super) took: Duration,
    /// The rows of the timeline, one for each listing, in the order of the routes.
    pub(super) tracks: Vec<EndpointTrack>,
    /// The requests of setup tests, which count nowhere else.
    setup_tests: EndpointTrack,
    /// True while a setup test runs.
    is_testing: bool,
    pub(super) latency: Latency,
    pub(super) windows: Windows,
    /// The number of responses by status; `None` is a request without a response.
    pub(super) statuses: BTreeMap<Option<u16>, u64>,
    /// The reasons for which requests waited, each with the number of waits and their total time.
    pub(super) reasons: BTreeMap<String, (u64, Duration)>,
}

/// The requests of one listing: a row of the timeline.
#[derive(Debug, Clone, Default)]
pub(super) struct EndpointTrack {
    pub(super) name: String,
    order: usize,
    tables: Vec<&'static str>,
    pub(super) requests: Marks,
    /// Waits before a request is tried again.
    pub(super) retries: Marks,
    /// Waits for the requests per minute.
    pub(super) budget_waits: Marks,
    pub(super) latency: Latency,
    /// The number of rows on the listing's pages.
    pub(super) read: u64,
    /// The start and end of reading each table. The end is `None` if the reading did not finish.
    pub(super) spans: Vec<(&'static str, Duration, Option<Duration>)>,
}

impl Timeline {
    /// A timeline that begins now.
    pub fn new(clock: Arc<dyn Clock>, routes: Vec<Route>) -> Self {
        let seen = RunTrace {
            began: clock.now(),
            ..RunTrace::default()
        };
        Self {
            clock,
            routes,
            seen: Mutex::new(seen),
        }
    }

    /// The events recorded up to now.
    pub fn seen(&self) -> RunTrace {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.took = self.since(seen.began);
        let mut seen = seen.clone();
        seen.tracks.sort_by_key(|track| track.order);
        for track in &mut seen.tracks {
            for marks in track.marks() {
                marks.settle();
            }
        }
        for marks in seen.setup_tests.marks() {
            marks.settle();
        }
        seen
    }

    fn since(&self, began: DateTime<Utc>) -> Duration {
        (self.clock.now() - began).to_std().unwrap_or_default()
    }

    /// The timeline row of a path.
    fn track_of_path<'a>(&self, seen: &'a mut RunTrace, path: &str) -> &'a mut EndpointTrack {
        let routes = self.routes.iter().enumerate();
        let fitting = routes.filter(|(_, route)| route.is_for(path));
        let best = fitting.max_by_key(|(_, route)| route.path.split('/').count());
        let (order, tables) = best.map_or((usize::MAX, &[][..]), |(order, route)| {
            (order, &route.tables[..])
        });
        seen.track(order, tables)
    }

    /// The timeline row of a table, by the first of its routes.
    fn track_of_table<'a>(&self, seen: &'a mut RunTrace, table: &str) -> &'a mut EndpointTrack {
        let mut routes = self.routes.iter().enumerate();
        let found = routes.find(|(_, route)| route.tables.contains(&table));
        let (order, tables) = found.map_or((usize::MAX, &[][..]), |(order, route)| {
            (order, &route.tables[..])
        });
        seen.track(order, tables)
    }
}

impl Route {
    /// Returns true if the route is for the path.
    pub(super) fn is_for(&self, path: &str) -> bool {
        let mut segments = path.trim_matches('/').split('/');
        let mut wanted = self.path.trim_matches('/').split('/');
        wanted.all(|wanted| {
            segments
                .next()
                .is_some_and(|it| wanted == "{}" || wanted == it)
        })
    }
}

impl RunTrace {
    /// The time at which recording began.
    pub fn began(&self) -> DateTime<Utc> {
        self.began
    }

    /// Returns true if no request, wait or table was recorded.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty() && self.setup_tests.is_empty()
    }

    /// The rows of the timeline. The setup tests, if there are any, come first.
    pub(super) fn timeline_rows(&self) -> impl Iterator<Item = &EndpointTrack> {
        let setup_tests = Some(&self.setup_tests).filter(|track| !track.is_empty());
        setup_tests.into_iter().chain(&self.tracks)
    }

    fn track(&mut self, order: usize, tables: &[&'static str]) -> &mut EndpointTrack {
        let known = self.tracks.iter().position(|track| track.tables == tables);
        let at = known.unwrap_or_else(|| {
            let name = match tables {
                [] => OTHER.to_owned(),
                tables => tables.join(", "),
            };
            self.tracks.push(EndpointTrack {
                name,
                order,
                tables: tables.to_vec(),
                ..EndpointTrack::default()
            });
            self.tracks.len() - 1
        });
        &mut self.tracks[at]
    }

    /// Reduces the number of bars to at most `most` in all. Rows with the most bars lose most.
    pub(super) fn thin(&mut self, most: usize) {
        let lists = |track: &EndpointTrack| {
            [&track.requests, &track.retries, &track.budget_waits].map(Marks::len)
        };
        let lengths: Vec<usize> = self.timeline_rows().flat_map(lists).collect();
        let sum = |each: usize| {
            lengths
                .iter()
                .map(|length| *length.min(&each))
                .sum::<usize>()
        };
        let mut each = lengths.iter().copied().max().unwrap_or(0);
        while each > 1 && sum(each) > most {
            each -= 1;
        }
        for track in &mut self.tracks {
            for marks in track.marks() {
                marks.thin(each);
            }
        }
        for marks in self.setup_tests.marks() {
            marks.thin(each);
        }
    }

    fn wait(&mut self, why: &str, wait: Duration) {
        let is_new = !self.reasons.contains_key(why);
        let why = if is_new && self.reasons.len() >= MOST_REASONS {
            "other reasons"
        } else {
            why
        };
        let (count, together) = self.reasons.entry(why.to_owned()).or_default();
        *count += 1;
        *together += wait;
    }
}

impl EndpointTrack {
    fn marks(&mut self) -> [&mut Marks; 3] {
        [
            &mut self.requests,
            &mut self.retries,
            &mut self.budget_waits,
        ]
    }

    fn is_empty(&self) -> bool {
        self.requests.len() == 0 && self.retries.len() == 0 && self.budget_waits.len() == 0
    }

    fn request(&mut self, request: Mark) {
        self.latency.add(request.together);
        self.requests.add(request);
    }

    fn wait(&mut self, why: &str, wait: Mark) {
        let marks = if why == BUDGET {
            &mut self.budget_waits
        } else {
            &mut self.retries
        };
        marks.add(wait);
    }
}

impl Observer for Timeline {
    fn observe(&self, event: &Event) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.since(seen.began);
        match event {
            Event::Request {
                path,
                status,
                bytes,
                took,
            } => {
                let request = Mark {
                    from: now.saturating_sub(*took),
                    to: now,
                    count: 1,
                    failed: u64::from(status.is_none_or(|status| status >= 400)),
                    bytes: *bytes,
                    together: *took,
                };
                if seen.is_testing {
                    return seen.setup_tests.request(request);
                }
                seen.latency.add(*took);
                *seen.statuses.entry(*status).or_default() += 1;
                self.track_of_path(&mut seen, path).request(request);
            }
            Event::Wait { path, why, wait } => {
                let mark = Mark {
                    from: now,
                    to: now + *wait,
                    count: 1,
                    failed: 0,
                    bytes: 0,
                    together: *wait,
                };
                if seen.is_testing {
                    return seen.setup_tests.wait(why, mark);
                }
                seen.wait(why, *wait);
                self.track_of_path(&mut seen, path).wait(why, mark);
            }
            Event::TestStarted => {
                SETUP_TESTS.clone_into(&mut seen.setup_tests.name);
                seen.is_testing = true;
            }
            Event::TestDone => seen.is_testing = false,
            Event::Window {
                table,
                kind,
                from,
                to,
                ..
            } => {
                seen.windows.add(table, *kind, (*from, *to));
            }
            Event::TableStarted { table } => {
                let track = self.track_of_table(&mut seen, table);
                track.spans.push((table, now, None));
            }
            Event::TableDone { table } => {
                let track = self.track_of_table(&mut seen, table);
                let mut spans = track.spans.iter_mut().rev();
                if let Some(span) = spans.find(|span| span.0 == *table) {
                    span.2 = Some(now);
                }
            }
            Event::Page { table, read } => self.track_of_table(&mut seen, table).read += read,
            // Warnings are part of the outcome, without secrets. The HTML report does not show other events.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
