//! The largest number of requests that a sync may send, from the number of rows in the source.
//!
//! For each table: at most [`PASSES`] passes over all pages that its rows fill, and [`FIXED`] other requests (counts,
//! empty windows, look-ups, probes of what the server can do). A listing per parent adds three requests for each
//! parent. A table of events adds three for each run, because a server without events is read run by run.

use fivetran_source::{
    sync::Selection,
    tables::{Feed, Strategy, Table},
};
use prefect_fake::GenericCollection;

use super::{source, world::World};

/// The number of passes over all pages of a table in one sync. The passes are the backfill, the reader of ended runs,
/// the open set, the never-started runs, the look-back, seven rechecks and a listing to find deletes; with small pages
/// also ranges that are cut.
const PASSES: usize = 14;
/// The number of requests of a table that do not depend on its rows.
const FIXED: usize = 40;

/// Returns the bound for one sync of this selection.
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
    // A page with an unreadable object is halved until it contains that object only.
    let around = world.unreadable.len() * 60;
    u32::try_from(requests + around).expect("few")
}

/// Returns the number of objects of a collection.
fn objects(world: &World, table: &Table) -> usize {
    let events = |wanted: fn(&prefect_fake::GenericObject) -> bool| {
        let all = world.store.objects(GenericCollection::Events);
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
            3 * world.store.object_count(GenericCollection::WorkPools)
        }
        Strategy::AppendOnly(Feed::Events(_)) => 3 * world.store.runs().count(),
        _ => 0,
    }
}
