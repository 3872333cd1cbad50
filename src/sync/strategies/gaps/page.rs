//! The gaps of one page of a listing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{super::request::FetchedPage, between::Between, gap::Gap};
use crate::{rows::Row, sync::compact_ids};

/// Returns the gaps of a page, in their order.
pub(in crate::sync::strategies) fn of_page(page: &FetchedPage, of: Option<&str>) -> Vec<Gap> {
    let id = |at: usize| page.list.get(at).map(|row| compact_ids::id(row.id()));
    let mut gaps: Vec<Gap> = Vec::new();
    let mut last = None;
    for (row, at) in page.gaps.iter().zip(&page.gap_offsets) {
        if let (Some(gap), true) = (gaps.last_mut(), last == Some(*row)) {
            gap.count += 1;
            continue;
        }
        last = Some(*row);
        gaps.push(Gap {
            at: *at,
            count: 1,
            previous: row.checked_sub(1).and_then(id),
            next: id(*row),
            of: of.map(str::to_owned),
            between: None,
            since: None,
            earlier: Vec::new(),
            interrupted: None,
            sent: BTreeMap::new(),
        });
    }
    gaps
}

/// Returns the gaps of a page of a listing by time, newest first. `reached` is the time of the end of the page before;
/// for the first page, the upper bound of the listing. Gaps at the end of a page are left out unless it is the last
/// page: they come again with the next page.
pub(in crate::sync::strategies) fn of_page_by_time(
    page: &FetchedPage,
    time: impl Fn(&Row) -> Option<DateTime<Utc>>,
    reached: DateTime<Utc>,
) -> Vec<Gap> {
    let is_last = page.objects < page.limit as usize;
    let mut gaps = of_page(page, None);
    gaps.retain(|gap| is_last || gap.next.is_some());
    let with_id = |id: &Option<String>| {
        let id = id.as_ref()?;
        page.list
            .iter()
            .find(|row| compact_ids::id(row.id()) == *id)
    };
    for gap in &mut gaps {
        let newest = match with_id(&gap.previous) {
            Some(row) => time(row),
            None => Some(reached),
        };
        let oldest = with_id(&gap.next).and_then(&time);
        let at_a_bound = |row: &Row| {
            let time = time(row).filter(|time| newest == Some(*time) || oldest == Some(*time))?;
            Some((compact_ids::id(row.id()), time))
        };
        gap.between = Some(Between {
            oldest,
            newest,
            known: page.list.iter().filter_map(at_a_bound).collect(),
            count: 1,
        });
    }
    gaps
}

/// Returns the gaps that should be on a page that has `limit` objects besides them.
pub(in crate::sync::strategies) fn on_page(
    gaps: &[Gap],
    of: Option<&str>,
    offset: u64,
    limit: u32,
) -> Vec<Gap> {
    let listing = gaps
        .iter()
        .filter(|gap| gap.of.as_deref() == of && gap.at >= offset);
    let mut gaps: Vec<Gap> = listing.cloned().collect();
    gaps.sort_unstable_by_key(|gap| gap.at);
    let mut end = offset + u64::from(limit);
    let mut is_on_page = |gap: &Gap| {
        let is_inside = gap.at < end;
        end += u64::from(gap.count);
        is_inside
    };
    let number = gaps.iter().take_while(|gap| is_on_page(gap)).count();
    gaps.truncate(number);
    gaps
}
