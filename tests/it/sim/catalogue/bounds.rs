//! The most requests that a sync may send: a function of the rows that the source holds.
//!
//! For each table: at most [`PASSES`] readings of all pages that its rows fill, and [`FIXED`] requests besides
//! (counts, empty windows, look-ups, probing what the server can do). A listing per parent has a request for each
//! parent, and the state history of a server without events one for each run that ended.

use fivetran_source::{
    demo::PlainCollection,
    sync::Selection,
    tables::{Feed, Strategy, Table},
};

use super::{source, world::World};

/// How often all pages of a table may be read in one sync: by the backfill, the tail, the open set, what never
/// started, the look-back, seven rungs and a listing to find deletes; at small pages also by ranges that are cut.
const PASSES: usize = 14;
/// Requests of a table that no row accounts for.
const FIXED: usize = 40;

/// The bound for one sync of this selection.
pub(super) fn most_requests(world: &World, selection: &Selection, page_size: u32) -> u32 {
    let page = page_size.min(world.kind.page_limit).max(2);
    let page = usize::try_from(page).expect("small");
    let tables = selection.tables.iter();
    let requests: usize = tables
        .map(|selected| {
            let rows = objects(world, selected.table.source());
            // Pages overlap by a row.
            PASSES * rows.div_ceil(page - 1) + FIXED + besides(world, selected.table)
        })
        .sum();
    // Each unreadable object is read around: a page is halved until it stands alone.
    let around = world.unreadable.len() * 60;
    u32::try_from(requests + around).expect("few")
}

/// Objects of a collection.
fn objects(world: &World, table: &Table) -> usize {
    let events = |wanted: fn(&fivetran_source::demo::Plain) -> bool| {
        let all = world.store.plains(PlainCollection::Events);
        all.filter(|event| wanted(event)).count()
    };
    match table.name {
        "flow_run_state_history" => events(source::is_state_change) + world.store.runs().count(),
        "events" => events(|_| true),
        name => world
            .past
            .present
            .iter()
            .filter(|(table, _)| *table == name)
            .count(),
    }
}

fn besides(world: &World, table: &Table) -> usize {
    match table.strategy {
        Strategy::Snapshot(listing) if listing.each.is_some() => {
            3 * world.store.plain_len(PlainCollection::WorkPools)
        }
        Strategy::Tail(Feed::Events(_)) => 3 * world.store.runs().count(),
        _ => 0,
    }
}
