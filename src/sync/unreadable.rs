//! Reads a page in segments around objects on which the server fails.
//!
//! A server that fails on one object (Prefect 2.20 does on an integer beyond 64 bits) fails on every page that contains
//! it, permanently. The page is halved until the object is alone. Then reading continues until there are as many other
//! objects as requested: so a page is short only where the listing ends, and contains something to continue from. The
//! listing may move in the meantime. So at the end each segment's last object and each unreadable object are requested
//! again. If they are different now, everything is read again.

use chrono::{DateTime, Utc};

use super::{compact_ids, offset::SMALLEST_PAGE};
use crate::{
    prefect::{self, ListRequest, ListResponse, PrefectApi},
    rows::{PageReader, ParsedPage},
};

/// The largest number of segments that may fail. If more fail, the cause is the server, not an object.
const MOST_FAILURES: u32 = 64;

/// The largest number of segments that may fail before one succeeds. (In a page of 200, the object is found after 8.)
const MOST_FAILURES_AT_FIRST: u32 = 18;

/// The number of attempts if the listing moves. Each attempt has fewer objects, so that it takes fewer requests.
const TIMES: u32 = 8;

/// A page without the objects on which the server fails.
#[derive(Debug)]
pub(super) struct PageWithGaps {
    pub(super) listed: ListResponse<ParsedPage>,
    /// The indices of the rows before which objects are missing.
    pub(super) gaps: Vec<usize>,
    /// The offsets of the missing objects.
    pub(super) offsets: Vec<u64>,
    /// The number of other objects that were wanted, if the request's limit does not apply.
    pub(super) wanted: Option<u32>,
}

/// A gap that was found before, with the packed ids of its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) at: u64,
    pub(super) count: u32,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

impl PageWithGaps {
    /// Wraps a page without gaps.
    pub(super) fn nothing(listed: ListResponse<ParsedPage>) -> Self {
        Self {
            listed,
            gaps: Vec::new(),
            offsets: Vec::new(),
            wanted: None,
        }
    }
}

/// Returns true if an object on the page may have caused the error.
pub(super) fn may_be_an_object(error: &prefect::Error) -> bool {
    matches!(error, prefect::Error::Server { status: 500, .. })
}

/// Reads the page of `request`, which failed with `error`, around the objects on which the server fails.
pub(super) async fn read_around(
    api: &impl PrefectApi,
    pages: &PageReader,
    request: &ListRequest,
    error: prefect::Error,
) -> Result<PageWithGaps, prefect::Error> {
    let mut wanted = request.limit;
    for time in 0..TIMES {
        if time > 0 {
            // The unreadable object may be gone or readable now.
            match api.list_briefly(request, |body| pages.read(body)).await {
                Ok(listed) => return Ok(PageWithGaps::nothing(listed)),
                Err(error) if may_be_an_object(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut plan = SegmentPlan::for_failed_page(request, wanted);
        let mut server_time = None;
        let outcome = loop {
            let Some((offset, limit)) = plan.next() else {
                break SegmentResult::Done;
            };
            let segment = ListRequest {
                limit,
                offset,
                ..request.clone()
            };
            let went = match api.list_briefly(&segment, |body| pages.read(body)).await {
                Ok(listed) => {
                    // The earliest time, because later changes are not on the page.
                    server_time = server_time.or(listed.server_time);
                    plan.answered(listed.page)
                }
                Err(error) if may_be_an_object(&error) => plan.failed(),
                Err(error) => return Err(error),
            };
            if let Err(outcome) = went {
                break outcome;
            }
        };
        match outcome {
            SegmentResult::Done => {
                return Ok(plan.put_together().with_time(server_time));
            }
            // A look-up by id must have a result for each object, so it is not shortened.
            SegmentResult::Moved if request.filter.id.is_some() => {}
            SegmentResult::Moved => wanted = (wanted / 4).max(SMALLEST_PAGE.min(wanted)),
            SegmentResult::Hopeless => break,
        }
    }
    Err(error)
}

/// Reads the page of `request` around gaps that were found before. Returns `None` if they are not there any more or the
/// listing moves; then the page must be read like any other.
pub(super) async fn read_around_known(
    api: &impl PrefectApi,
    pages: &PageReader,
    request: &ListRequest,
    known: &[Known],
) -> Result<Option<PageWithGaps>, prefect::Error> {
    let mut plan = SegmentPlan::around(request.offset, request.limit, known);
    let mut server_time = None;
    while let Some((offset, limit)) = plan.next() {
        let segment = ListRequest {
            limit,
            offset,
            ..request.clone()
        };
        // Sent once: the next sync requests an object again that failed by chance.
        let went = match api.list_once(&segment, |body| pages.read(body)).await {
            Ok(listed) => {
                server_time = server_time.or(listed.server_time);
                plan.answered(listed.page)
            }
            Err(error) if may_be_an_object(&error) => plan.failed(),
            Err(error) => return Err(error),
        };
        if went.is_err() {
            return Ok(None);
        }
    }
    let is_clean = !plan
        .read
        .iter()
        .any(|segment| matches!(segment, Segment::Gap));
    // If all segments are readable, they are requested as one page, because objects may have moved between two
    // requests.
    let is_usable = !is_clean || plan.read.len() == 1;
    Ok(is_usable.then(|| plan.put_together().with_time(server_time)))
}

/// The outcome of reading in segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SegmentResult {
    Done,
    /// The listing has changed.
    Moved,
    /// Too many segments fail.
    Hopeless,
}

/// The plan of the segments of a page. It is pure.
#[derive(Debug)]
struct SegmentPlan {
    /// The offset of the whole page.
    start: u64,
    /// The offset after the planned segments.
    end: u64,
    /// The number of objects wanted besides the unreadable ones.
    wanted: u32,
    /// True if the listing ends with what was read.
    is_at_end: bool,
    /// The segments left to read, each as offset and number of objects; the next one is last.
    todo: Vec<(u64, u32)>,
    requested: (u64, u32),
    read: Vec<Segment>,
    /// The objects left to check; `None` while there is something left to read.
    checks: Option<Vec<Check>>,
    failures: u32,
    answers: u32,
    /// The ranges that failed as a whole, the innermost last, each as first offset and first offset after it.
    failed: Vec<(u64, u64)>,
    /// The gaps that were found before.
    known: Vec<Known>,
}

#[derive(Debug)]
enum Segment {
    Page(ParsedPage),
    /// An unreadable object.
    Gap,
}

/// An object that must be requested again: its offset, and its id if it is readable.
#[derive(Debug)]
struct Check(u64, Option<String>);

impl SegmentPlan {
    /// Plans the page of `request`, which failed, or the first `wanted` objects of it.
    fn for_failed_page(request: &ListRequest, wanted: u32) -> Self {
        let (offset, limit) = (request.offset, request.limit);
        let mut plan = Self {
            start: offset,
            end: offset + u64::from(wanted),
            wanted,
            is_at_end: false,
            todo: vec![(offset, wanted)],
            requested: (offset, limit),
            read: Vec::new(),
            checks: None,
            failures: 0,
            answers: 0,
            failed: vec![(offset, offset + u64::from(limit))],
            known: Vec::new(),
        };
        if wanted == limit {
            plan.todo.clear();
            plan.halve();
        }
        plan
    }

    /// Plans a page that is split around known gaps, which must be in order.
    fn around(offset: u64, limit: u32, known: &[Known]) -> Self {
        let mut todo = Vec::new();
        let mut at = offset;
        let mut left = limit;
        for place in known {
            // Gaps that were recorded at different times may overlap, or be beyond the page.
            let first = place.at.max(at);
            let after = (place.at + u64::from(place.count)).max(at);
            let between = u32::try_from(first - at).unwrap_or(u32::MAX);
            if between >= left {
                break;
            }
            todo.push((at, between));
            todo.extend((first..after).map(|offset| (offset, 1)));
            at = after;
            left -= between;
        }
        todo.push((at, left));
        todo.retain(|(_, number)| *number > 0);
        todo.reverse();
        Self {
            start: offset,
            end: at + u64::from(left),
            wanted: limit,
            is_at_end: false,
            todo,
            requested: (offset, limit),
            read: Vec::new(),
            checks: None,
            failures: 0,
            answers: 0,
            failed: Vec::new(),
            known: known.to_vec(),
        }
    }

    /// Returns true if the gaps are those that were known, so that nothing has moved in the meantime.
    fn is_as_known(&self) -> bool {
        let mut found: Vec<Known> = Vec::new();
        let mut previous = None;
        let mut is_open = false;
        let mut offset = self.start;
        for segment in &self.read {
            match segment {
                Segment::Gap => {
                    match found.last_mut() {
                        Some(place) if is_open => place.count += 1,
                        _ => found.push(Known {
                            at: offset,
                            count: 1,
                            previous: previous.clone(),
                            next: None,
                        }),
                    }
                    is_open = true;
                    offset += 1;
                }
                Segment::Page(page) => {
                    if let (Some(first), Some(last)) = (page.rows.first(), page.rows.last()) {
                        if let (Some(place), true) = (found.last_mut(), is_open) {
                            place.next = Some(compact_ids::id(first.id()));
                        }
                        previous = Some(compact_ids::id(last.id()));
                        is_open = false;
                    }
                    offset += page.objects() as u64;
                }
            }
        }
        !found.is_empty() && found == self.known
    }

    /// Splits the segment that failed into two halves; a single object is a gap.
    fn halve(&mut self) {
        let (offset, limit) = self.requested;
        let half = limit / 2;
        if half == 0 {
            self.read.push(Segment::Gap);
        } else {
            self.todo.push((offset + u64::from(half), limit - half));
            self.todo.push((offset, half));
        }
    }

    /// Returns the number of objects that are still wanted after what was read.
    fn missing(&self) -> u32 {
        let pages = self.read.iter().filter_map(|segment| match segment {
            Segment::Page(page) => Some(page.objects()),
            Segment::Gap => None,
        });
        let read = u32::try_from(pages.sum::<usize>()).unwrap_or(u32::MAX);
        let is_over = self.is_at_end || self.checks.is_some();
        if is_over {
            0
        } else {
            self.wanted.saturating_sub(read)
        }
    }

    /// Returns the next request: offset and number of objects.
    fn next(&mut self) -> Option<(u64, u32)> {
        let missing = self.missing();
        if self.todo.is_empty() && missing > 0 {
            self.todo.push((self.end, missing));
            self.end += u64::from(missing);
        }
        if let Some(segment) = self.todo.pop() {
            self.requested = segment;
            return Some(segment);
        }
        let is_clean = !self
            .read
            .iter()
            .any(|segment| matches!(segment, Segment::Gap));
        if is_clean && !self.known.is_empty() {
            // The caller requests everything as one page.
            return None;
        }
        if self.checks.is_none() {
            let checks = if self.is_as_known() {
                Vec::new()
            } else {
                self.what_to_check()
            };
            // A page that came in one response cannot have moved.
            let is_whole = matches!(self.read.as_slice(), [Segment::Page(_)]);
            self.checks = Some(if is_whole { Vec::new() } else { checks });
        }
        let Check(offset, _) = self.checks.as_ref()?.last()?;
        Some((*offset, 1))
    }

    fn what_to_check(&self) -> Vec<Check> {
        let mut offset = self.start;
        let mut checks = Vec::new();
        for segment in &self.read {
            match segment {
                Segment::Gap => {
                    checks.push(Check(offset, None));
                    offset += 1;
                }
                Segment::Page(page) => {
                    offset += page.objects() as u64;
                    if let (true, Some(last)) = (page.bad.is_empty(), page.rows.last()) {
                        checks.push(Check(offset - 1, Some(last.id().to_owned())));
                    }
                }
            }
        }
        // Checked from the first object on: this detects what moved forward while segments were read, and back while
        // they are checked.
        checks.reverse();
        checks
    }

    fn answered(&mut self, page: ParsedPage) -> Result<(), SegmentResult> {
        self.answers += 1;
        if let Some(checks) = &mut self.checks {
            let check = checks.pop();
            let id = check.and_then(|Check(_, id)| id);
            return match page.rows.first() {
                Some(row) if Some(row.id()) == id.as_deref() => Ok(()),
                _ => Err(SegmentResult::Moved),
            };
        }
        if page.objects() < self.requested.1 as usize {
            self.is_at_end = true;
            self.todo.clear();
        }
        self.read.push(Segment::Page(page));
        self.check_failed()
    }

    fn failed(&mut self) -> Result<(), SegmentResult> {
        self.failures += 1;
        if let Some(checks) = &mut self.checks {
            let is_gap = matches!(checks.pop(), Some(Check(_, None)));
            return if is_gap {
                Ok(())
            } else {
                Err(SegmentResult::Moved)
            };
        }
        let is_hopeless = self.failures > MOST_FAILURES
            || (self.answers == 0 && self.failures > MOST_FAILURES_AT_FIRST);
        if is_hopeless {
            return Err(SegmentResult::Hopeless);
        }
        let (offset, limit) = self.requested;
        if limit > 1 {
            self.failed.push((offset, offset + u64::from(limit)));
        }
        self.halve();
        self.check_failed()
    }

    /// Verifies that each range that failed as a whole contains an unreadable object. If all segments of a range
    /// succeed, the responses are not those of one listing.
    fn check_failed(&mut self) -> Result<(), SegmentResult> {
        let mut reached = self.start;
        let mut last_gap = None;
        for segment in &self.read {
            match segment {
                Segment::Gap => {
                    last_gap = Some(reached);
                    reached += 1;
                }
                Segment::Page(page) => reached += page.objects() as u64,
            }
        }
        while let Some((first, after)) = self.failed.last() {
            if !self.is_at_end && reached < *after {
                return Ok(());
            }
            if last_gap.is_none_or(|gap| gap < *first) {
                return Err(SegmentResult::Moved);
            }
            self.failed.pop();
        }
        Ok(())
    }

    /// Joins all segments to one page, with the positions of the missing objects.
    fn put_together(self) -> Whole {
        let mut whole = Whole {
            page: ParsedPage {
                rows: Vec::new(),
                bad: Vec::new(),
            },
            gaps: Vec::new(),
            offsets: Vec::new(),
            wanted: self.wanted,
        };
        let mut offset = self.start;
        for segment in self.read {
            match segment {
                Segment::Page(page) => {
                    offset += page.objects() as u64;
                    whole.page.rows.extend(page.rows);
                    whole.page.bad.extend(page.bad);
                }
                Segment::Gap => {
                    whole.gaps.push(whole.page.rows.len());
                    whole.offsets.push(offset);
                    offset += 1;
                }
            }
        }
        whole
    }
}

/// The page that is joined from all segments.
struct Whole {
    page: ParsedPage,
    gaps: Vec<usize>,
    offsets: Vec<u64>,
    wanted: u32,
}

impl Whole {
    fn with_time(self, server_time: Option<DateTime<Utc>>) -> PageWithGaps {
        PageWithGaps {
            listed: ListResponse {
                page: self.page,
                server_time,
            },
            gaps: self.gaps,
            offsets: self.offsets,
            wanted: Some(self.wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{rows::Context, tables};

    /// Reads `[0, limit)` of `listing`, in segments if it contains an object of `poison`. Before each request `change`
    /// may alter the listing. Returns the ids read, or the outcome.
    fn read(
        listing: &mut Vec<u32>,
        poison: &BTreeSet<u32>,
        limit: u32,
        change: impl FnMut(usize, &mut Vec<u32>),
    ) -> Result<Vec<u32>, SegmentResult> {
        let page = listing.iter().take(limit as usize);
        if !page.clone().any(|row| poison.contains(row)) {
            return Ok(page.copied().collect());
        }
        let request = page_of(limit);
        let (found, _) = read_segments(
            SegmentPlan::for_failed_page(&request, limit),
            listing,
            poison,
            change,
        )?;
        Ok(found)
    }

    fn page_of(limit: u32) -> ListRequest {
        ListRequest {
            limit,
            ..ListRequest::default()
        }
    }

    /// Reads these segments in the same way; also returns the number of requests.
    fn read_segments(
        mut plan: SegmentPlan,
        listing: &mut Vec<u32>,
        poison: &BTreeSet<u32>,
        mut change: impl FnMut(usize, &mut Vec<u32>),
    ) -> Result<(Vec<u32>, usize), SegmentResult> {
        let table = tables::find("flows").expect("a table");
        let pages = PageReader::new(table, &Context::default());
        let mut requests = 0;
        while let Some((offset, limit)) = plan.next() {
            change(requests, listing);
            requests += 1;
            assert!(requests < 2_000, "no end");
            let rows: Vec<u32> = listing
                .iter()
                .copied()
                .skip(usize::try_from(offset).expect("small"))
                .take(limit as usize)
                .collect();
            if rows.iter().any(|row| poison.contains(row)) {
                plan.failed()?;
            } else {
                let body: Vec<_> = rows
                    .iter()
                    .map(|id| json!({"id": id.to_string()}))
                    .collect();
                let page = pages.read(json!(body).to_string()).expect("a page");
                plan.answered(page)?;
            }
        }
        let whole = plan.put_together();
        assert!(whole.gaps.len() <= poison.len());
        let found = whole
            .page
            .rows
            .iter()
            .map(|row| row.id().parse().expect("a number"))
            .collect();
        Ok((found, requests))
    }

    /// Returns the number of objects of a page that contains `limit` readable ones or ends the listing.
    fn length(poison: &BTreeSet<u32>, limit: u32, rows: u32) -> u32 {
        let others = (0..rows).filter(|row| !poison.contains(row));
        let last = others.take(limit as usize).nth(limit as usize - 1);
        last.map_or(rows, |last| last + 1)
    }

    /// Returns the known gaps of a listing in which the offset of every object is its own number.
    fn known(poison: &BTreeSet<u32>, limit: u32, rows: u32) -> Vec<Known> {
        let id = |number: u32| Some(compact_ids::id(&number.to_string()));
        let mut known: Vec<Known> = Vec::new();
        for at in poison.iter().copied().filter(|at| *at < limit.min(rows)) {
            match known.last_mut() {
                Some(place) if place.at + u64::from(place.count) == u64::from(at) => {
                    place.count += 1;
                }
                _ => known.push(Known {
                    at: at.into(),
                    count: 1,
                    previous: at.checked_sub(1).and_then(id),
                    next: None,
                }),
            }
        }
        for place in &mut known {
            let next = u32::try_from(place.at).expect("small") + place.count;
            place.next = (next < limit.min(rows)).then(|| id(next)).flatten();
        }
        known
    }

    /// A gateway that returns the first page, or nothing, for requests of few objects, whatever their offset is.
    #[test]
    fn a_page_that_fails_while_its_segments_succeed_is_rejected() {
        let table = tables::find("flows").expect("a table");
        let pages = PageReader::new(table, &Context::default());
        for rows in [vec![], vec![json!({"id": "1"}), json!({"id": "2"})]] {
            let mut plan = SegmentPlan::for_failed_page(&page_of(200), 200);
            let mut requests = 0;
            let outcome = loop {
                let (_, limit) = plan.next().expect("a request");
                requests += 1;
                let went = if limit > 2 {
                    plan.failed()
                } else {
                    let rows: Vec<_> = rows.iter().take(limit as usize).collect();
                    let page = pages.read(json!(rows).to_string()).expect("a page");
                    plan.answered(page)
                };
                if let Err(outcome) = went {
                    break outcome;
                }
            };
            assert_eq!(outcome, SegmentResult::Moved);
            assert!(requests <= 10, "{requests} requests");
        }
    }

    #[test]
    fn known_places_that_overlap_or_exceed_the_page_are_read_once() {
        let place = |at, count| Known {
            at,
            count,
            previous: None,
            next: None,
        };
        let places = [place(11, 3), place(12, 1), place(13, 2), place(40, 1)];
        let mut plan = SegmentPlan::around(10, 5, &places).todo;
        plan.reverse();
        let want = [(10, 1), (11, 1), (12, 1), (13, 1), (14, 1), (15, 4)];
        assert_eq!(plan, want);
    }

    proptest! {
        #[test]
        fn everything_except_unreadable_objects_is_read(
            rows in 0..60_u32,
            limit in 2..70_u32,
            poison in prop::collection::btree_set(0..60_u32, 0..4),
        ) {
            let mut listing: Vec<u32> = (0..rows).collect();
            let found = read(&mut listing, &poison, limit, |_, _| ());
            let others = (0..rows).filter(|row| !poison.contains(row));
            let want: Vec<u32> = others.take(limit as usize).collect();
            prop_assert_eq!(found, Ok(want));
        }

        /// Two requests for each gap if nothing has changed; the same rows if something has.
        #[test]
        fn known_unreadable_objects_are_skipped_with_few_requests(
            rows in 2..60_u32,
            limit in 2..70_u32,
            poison in prop::collection::btree_set(0..60_u32, 1..4),
            healed in prop::option::of(0..60_u32),
            come in prop::option::of(0..60_usize),
        ) {
            let places = known(&poison, length(&poison, limit, rows), rows);
            let mut listing: Vec<u32> = (0..rows).collect();
            let mut now = poison.clone();
            now.retain(|id| Some(*id) != healed);
            if let Some(at) = come {
                listing.insert(at.min(listing.len()), 1_000);
            }
            let others = listing.iter().copied().filter(|row| !now.contains(row));
            let others: Vec<u32> = others.collect();
            let plan = SegmentPlan::around(0, limit, &places);
            let (found, requests) = read_segments(plan, &mut listing, &now, |_, _| ()).expect("read");
            // Objects that can be read again are returned in addition.
            prop_assert!(found.len() >= others.len().min(limit as usize));
            prop_assert_eq!(&found[..], &others[..found.len()]);
            if come.is_none() && healed.is_none() {
                let objects: u32 = places.iter().map(|place| place.count).sum();
                prop_assert!(requests <= 1 + places.len() + objects as usize, "{} requests", requests);
            }
        }

        /// Rows that are deleted or inserted during the reading: the page is read again, or no row is missed.
        #[test]
        fn a_listing_that_moves_loses_nothing(
            limit in 2..40_u32,
            poison in prop::collection::btree_set(0..40_u32, 1..3),
            gone in prop::option::of((0..30_usize, 0..40_u32)),
            come in prop::option::of((0..30_usize, 0..40_usize)),
        ) {
            let mut listing: Vec<u32> = (0..40).collect();
            let found = read(&mut listing, &poison, limit, |request, listing| {
                if let Some((_, row)) = gone.filter(|(when, _)| *when == request) {
                    listing.retain(|other| *other != row);
                }
                if let Some((_, at)) = come.filter(|(when, _)| *when == request) {
                    listing.insert(at.min(listing.len()), 1_000);
                }
            });
            if let Ok(found) = found {
                // No existing row before the last row that was read was skipped.
                let last = found.iter().rev().find(|row| **row != 1_000).copied().unwrap_or(0);
                for row in listing.iter().filter(|row| **row < last) {
                    prop_assert!(found.contains(row) || poison.contains(row), "lost {}", row);
                }
            }
        }
    }
}
