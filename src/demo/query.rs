//! Reading a collection: a body becomes a filter, a sort and a page; the page becomes JSON.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use super::{
    filter::{Clause, Filtered},
    id::Id,
    reader::Reader,
    reject::{Problem, Reject, Step},
    schema::{Collection, Column, Sort},
    store::Store,
    table::{Page, Row, SortKey, Table},
    versions::Dialect,
    view::Lens,
};

/// Filters by collections that are not kept here.
const ELSEWHERE: [&str; 3] = ["task_runs", "work_pools", "work_pool_queues"];

/// A request that was read.
struct Request {
    limit: usize,
    offset: usize,
    sort: Sort,
    filters: Vec<(Collection, Clause)>,
}

/// The rows of a page, as a JSON array.
pub fn list(store: &mut Store, collection: Collection, body: &Value) -> Result<String, Reject> {
    let request = read(store, collection, body, true)?;
    let tie_seed = store.tie_seed();
    let narrowed = Narrowed::of(store, collection, &request.filters);
    let page = page(collection, &request, tie_seed);
    let capabilities = store.settings().capabilities.clone();
    let lens = Lens {
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

/// The number of rows that pass.
pub fn count(store: &Store, collection: Collection, body: &Value) -> Result<usize, Reject> {
    let request = read(store, collection, body, false)?;
    let narrowed = Narrowed::of(store, collection, &request.filters);
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

/// One row.
pub fn get(store: &Store, collection: Collection, id: Id) -> Result<String, Reject> {
    let lens = Lens {
        capabilities: &store.settings().capabilities,
        now: store.now(),
    };
    let found = match collection {
        Collection::Flows => store.flow(id).map(|row| text(&lens.flow(row))),
        Collection::FlowRuns => store.run(id).map(|row| text(&lens.run(row))),
        Collection::Deployments => store.deployment(id).map(|row| text(&lens.deployment(row))),
    };
    found.unwrap_or_else(|| Err(Reject::not_found(collection.noun())))
}

fn text<T: Serialize>(value: &T) -> Result<String, Reject> {
    serde_json::to_string(value)
        .map_err(|_| Reject::Exception(500, "Internal Server Error".to_owned()))
}

fn rows<'a, R: 'a, V: Serialize>(
    rows: Vec<&'a R>,
    show: impl Fn(&'a R) -> V,
) -> Result<String, Reject> {
    text(&rows.into_iter().map(show).collect::<Vec<V>>())
}

fn page(collection: Collection, request: &Request, tie_seed: Option<u64>) -> Page<Column> {
    let own = request.filters.iter().find(|(of, _)| *of == collection);
    let bounds = own
        .zip(request.sort.column.field())
        .map(|((_, clause), field)| clause.bounds(field));
    let (from, to) = bounds.unwrap_or_default();
    let key = |time: super::model::Time| SortKey::Time(time.timestamp_micros());
    Page {
        column: request.sort.column,
        descending: request.sort.descending,
        from: from.map(key),
        to: to.map(key),
        offset: request.offset,
        limit: request.limit,
        tie_seed,
    }
}

fn path(key: &str) -> Vec<Step> {
    vec![Step::Key("body".to_owned()), Step::Key(key.to_owned())]
}

fn read(
    store: &Store,
    collection: Collection,
    body: &Value,
    paged: bool,
) -> Result<Request, Reject> {
    let capabilities = &store.settings().capabilities;
    let mut reader = Reader::new(capabilities);
    let empty = serde_json::Map::new();
    let object = match body {
        Value::Object(object) => object,
        Value::Null => &empty,
        _ => {
            reader.note(Problem::NotObject, &path("limit")[..1], body);
            &empty
        }
    };
    let most = i64::from(store.settings().page_limit);
    let limit = if paged {
        number(
            &mut reader,
            object.get("limit"),
            "limit",
            capabilities.dialect,
        )
    } else {
        None
    };
    let limit = limit.unwrap_or(most);
    let sort = sort(
        &mut reader,
        collection,
        object.get("sort").filter(|_| paged),
    );
    let offset = if paged {
        number(
            &mut reader,
            object.get("offset"),
            "offset",
            capabilities.dialect,
        )
    } else {
        None
    };
    let offset = offset.unwrap_or(0);
    if offset < 0 {
        reader.note(
            Problem::Negative,
            &path("offset"),
            object.get("offset").unwrap_or(&Value::Null),
        );
    }
    let mut filters = Vec::new();
    for other in Collection::ALL {
        if let Some(value) = object.get(other.name()).filter(|value| !value.is_null()) {
            filters.push((
                other,
                reader.group(other.keys(), None, value, &mut path(other.name())),
            ));
        }
    }
    // The limit is judged before everything else is reported.
    if limit > most {
        return Err(Reject::Detail(
            422,
            format!("Invalid limit: must be less than or equal to {most}."),
        ));
    }
    if limit < 0 {
        return Err(Reject::Detail(
            422,
            "Invalid limit: must be greater than or equal to 0.".to_owned(),
        ));
    }
    if !reader.issues.is_empty() {
        return Err(Reject::Invalid(reader.issues, body.clone()));
    }
    if let Some(key) = ELSEWHERE
        .iter()
        .find(|key| object.get(**key).is_some_and(|value| !value.is_null()))
    {
        return Err(Reject::Detail(
            501,
            format!("this server cannot filter by {key}"),
        ));
    }
    let size = |number: i64| usize::try_from(number).unwrap_or(0);
    Ok(Request {
        limit: size(limit),
        offset: size(offset),
        sort,
        filters,
    })
}

/// An integer, in the spellings that each generation takes.
fn number(
    reader: &mut Reader<'_>,
    value: Option<&Value>,
    key: &str,
    dialect: Dialect,
) -> Option<i64> {
    let value = value?;
    let problem = match value {
        Value::Null => return None,
        Value::Bool(flag) => return Some(i64::from(*flag)),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => return Some(number),
            Err(_) => Problem::NotInteger,
        },
        Value::Number(number) => match number.as_i64() {
            Some(number) => return Some(number),
            // Cut off by the old generation, which is the text before the point.
            None => match number
                .to_string()
                .split_once('.')
                .map(|(whole, rest)| (whole.parse(), rest))
            {
                Some((Ok(whole), rest)) if dialect == Dialect::Old || rest == "0" => {
                    return Some(whole);
                }
                _ => Problem::Fraction,
            },
        },
        _ => Problem::NotNumber,
    };
    reader.note(problem, &path(key), value);
    None
}

fn sort(reader: &mut Reader<'_>, collection: Collection, value: Option<&Value>) -> Sort {
    let sorts = collection.sorts();
    let names: Vec<&'static str> = sorts.iter().map(|sort| sort.name).collect();
    let name = value
        .and_then(|value| reader.word(value, &names, &path("sort")))
        .unwrap_or(collection.default_sort());
    sorts
        .iter()
        .find(|sort| sort.name == name)
        .copied()
        .unwrap_or(sorts[0])
}

/// The filters of a request, worked out as far as they concern one collection.
struct Narrowed<'a> {
    own: Option<&'a Clause>,
    flows: Option<HashSet<Id>>,
    deployments: Option<HashSet<Id>>,
}

/// A row's ties to the other collections.
trait Linked {
    /// Whether its flow is one of these.
    fn of_flows(&self, flows: &HashSet<Id>) -> bool;
    /// Whether its deployment is one of these.
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

impl<'a> Narrowed<'a> {
    fn of(store: &Store, collection: Collection, filters: &'a [(Collection, Clause)]) -> Self {
        let clause = |of: Collection| {
            filters
                .iter()
                .find(|(c, _)| *c == of)
                .map(|(_, clause)| clause)
        };
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
            // A flow has no column for its deployments: it passes when one of them does.
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
