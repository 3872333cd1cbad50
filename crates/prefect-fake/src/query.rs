//! Lists a collection: the body becomes a filter, a sort and a page, and the page becomes JSON.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use super::{
    error_response::ErrorResponse,
    filter::{Clause, Filtered},
    form::{self, Request},
    id::Id,
    listing_spec::Column,
    schema::Collection,
    store::Store,
    table::{Page, Row, Table},
    view::RenderContext,
};

/// Returns the rows of a page, as a JSON array.
pub fn list(
    store: &mut Store,
    collection: Collection,
    body: &Value,
) -> Result<String, ErrorResponse> {
    let request = form::read(store.settings(), &collection.form(), body, true)?;
    let tie_seed = store.tie_seed();
    let narrowed = ResolvedFilters::new(store, collection, &request);
    let page = request.page(collection.name(), tie_seed);
    let capabilities = store.settings().capabilities.clone();
    let lens = RenderContext {
        capabilities: &capabilities,
        now: store.now(),
    };
    match collection {
        Collection::Flows => rows(narrowed.select(&mut store.flows, &page), |row| {
            lens.flow(row)
        }),
        Collection::FlowRuns => rows(narrowed.select(&mut store.runs, &page), |row| lens.run(row)),
        Collection::Deployments => rows(narrowed.select(&mut store.deployments, &page), |row| {
            lens.deployment(row)
        }),
    }
}

/// Returns the number of rows that pass the filters.
pub fn count(store: &Store, collection: Collection, body: &Value) -> Result<usize, ErrorResponse> {
    let request = form::read(store.settings(), &collection.form(), body, false)?;
    let narrowed = ResolvedFilters::new(store, collection, &request);
    Ok(match collection {
        Collection::Flows => store
            .flows
            .iter()
            .filter(|row| narrowed.keeps(*row))
            .count(),
        Collection::FlowRuns => store.runs.iter().filter(|row| narrowed.keeps(*row)).count(),
        Collection::Deployments => store
            .deployments
            .iter()
            .filter(|row| narrowed.keeps(*row))
            .count(),
    })
}

/// Returns one row as JSON.
pub fn get(store: &Store, collection: Collection, id: Id) -> Result<String, ErrorResponse> {
    let lens = RenderContext {
        capabilities: &store.settings().capabilities,
        now: store.now(),
    };
    let found = match collection {
        Collection::Flows => store.flow(id).map(|row| text(&lens.flow(row))),
        Collection::FlowRuns => store.run(id).map(|row| text(&lens.run(row))),
        Collection::Deployments => store.deployment(id).map(|row| text(&lens.deployment(row))),
    };
    found.unwrap_or_else(|| Err(ErrorResponse::not_found(collection.noun())))
}

pub(super) fn text<T: Serialize>(value: &T) -> Result<String, ErrorResponse> {
    serde_json::to_string(value)
        .map_err(|_| ErrorResponse::Exception(500, "Internal Server Error".to_owned()))
}

fn rows<'a, R: 'a, V: Serialize>(
    rows: Vec<&'a R>,
    show: impl Fn(&'a R) -> V,
) -> Result<String, ErrorResponse> {
    text(&rows.into_iter().map(show).collect::<Vec<V>>())
}

/// The filters of a request, reduced to one collection.
struct ResolvedFilters<'a> {
    own: Option<&'a Clause>,
    flows: Option<HashSet<Id>>,
    deployments: Option<HashSet<Id>>,
}

/// The links of a row to the other collections.
trait Linked {
    /// Returns true if the row's flow is one of `flows`.
    fn of_flows(&self, flows: &HashSet<Id>) -> bool;
    /// Returns true if the row's deployment is one of `deployments`.
    fn of_deployments(&self, deployments: &HashSet<Id>) -> bool;
}

impl Linked for super::model::Flow {
    fn of_flows(&self, flows: &HashSet<Id>) -> bool {
        flows.contains(&self.id)
    }
    fn of_deployments(&self, _: &HashSet<Id>) -> bool {
        true
    }
}

impl Linked for super::model::Deployment {
    fn of_flows(&self, flows: &HashSet<Id>) -> bool {
        flows.contains(&self.flow_id)
    }
    fn of_deployments(&self, deployments: &HashSet<Id>) -> bool {
        deployments.contains(&self.id)
    }
}

impl Linked for super::model::FlowRun {
    fn of_flows(&self, flows: &HashSet<Id>) -> bool {
        flows.contains(&self.flow_id)
    }
    fn of_deployments(&self, deployments: &HashSet<Id>) -> bool {
        self.deployment_id
            .is_some_and(|id| deployments.contains(&id))
    }
}

fn both(a: Option<HashSet<Id>>, b: Option<HashSet<Id>>) -> Option<HashSet<Id>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a & &b),
        (a, b) => a.or(b),
    }
}

impl<'a> ResolvedFilters<'a> {
    fn new(store: &Store, collection: Collection, request: &'a Request) -> Self {
        let clause = |of: Collection| request.clause(of.name());
        let foreign = |of: Collection| clause(of).filter(|_| of != collection);
        let mut flows = foreign(Collection::Flows).map(|clause| {
            store
                .flows
                .iter()
                .filter(|row| clause.holds(*row))
                .map(|row| row.id)
                .collect()
        });
        let mut deployments: Option<HashSet<Id>> = foreign(Collection::Deployments).map(|clause| {
            store
                .deployments
                .iter()
                .filter(|row| clause.holds(*row))
                .map(|row| row.id)
                .collect()
        });
        if collection == Collection::Flows {
            // A flow has no column for its deployments: the flow passes if at least one of them passes.
            let theirs = deployments.take();
            let ids = theirs.map(|ids| {
                ids.iter()
                    .filter_map(|id| Some(store.deployments.get(*id)?.flow_id))
                    .collect()
            });
            flows = both(flows, ids);
        }
        if let Some(clause) = foreign(Collection::FlowRuns) {
            let runs = store.runs.iter().filter(|run| clause.holds(*run));
            match collection {
                Collection::Flows => {
                    flows = both(flows, Some(runs.map(|run| run.flow_id).collect()));
                }
                _ => {
                    deployments = both(
                        deployments,
                        Some(runs.filter_map(|run| run.deployment_id).collect()),
                    );
                }
            }
        }
        Self {
            own: clause(collection).filter(|clause| !clause.is_open()),
            flows,
            deployments,
        }
    }

    fn is_open(&self) -> bool {
        self.own.is_none() && self.flows.is_none() && self.deployments.is_none()
    }

    fn keeps<R: Filtered + Linked>(&self, row: &R) -> bool {
        self.flows.as_ref().is_none_or(|flows| row.of_flows(flows))
            && self
                .deployments
                .as_ref()
                .is_none_or(|deployments| row.of_deployments(deployments))
            && self.own.is_none_or(|clause| clause.holds(row))
    }

    fn select<'t, R>(&self, table: &'t mut Table<R>, page: &Page<Column>) -> Vec<&'t R>
    where
        R: Row<Column = Column> + Filtered + Linked,
    {
        let keep = |row: &R| self.keeps(row);
        table.select(page, if self.is_open() { None } else { Some(&keep) })
    }
}
