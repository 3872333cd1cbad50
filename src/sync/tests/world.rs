//! A small Prefect in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};

use crate::prefect::{self, CountRequest, ListRequest, ListResponse, PrefectApi};

pub(super) type Change = Box<dyn FnOnce(&mut World) + Send>;

/// The state of the server, and the changes that happen to it during a sync.
#[derive(Default)]
pub(super) struct World {
    /// The time, in seconds since the beginning of the test.
    pub(super) now: i64,
    pub(super) objects: BTreeMap<&'static str, Vec<Json>>,
    pub(super) requests: Vec<ListRequest>,
    /// The changes, by the number of the request after which each happens.
    pub(super) changes: BTreeMap<usize, Vec<Change>>,
    pub(super) limit: u32,
    pub(super) missing: Vec<&'static str>,
    pub(super) without_date: bool,
    /// Objects that make the server fail on every page that contains them.
    pub(super) poison: BTreeSet<usize>,
    /// The collection for which every request fails.
    pub(super) failing: Option<&'static str>,
}

pub(super) fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("in range") + TimeDelta::seconds(seconds)
}

pub(super) fn text(seconds: i64) -> String {
    time(seconds).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

impl World {
    pub(super) fn run(&mut self, id: usize, expected: i64, updated: i64) {
        self.put(
            "/flow_runs",
            json!({
                "id": uuid(id), "updated": text(updated), "expected_start_time": text(expected),
                "name": format!("run {id} at {updated}"), "estimated_run_time": self.now,
                "state_type": "COMPLETED", "start_time": text(expected), "end_time": text(updated),
            }),
        );
    }

    pub(super) fn flow(&mut self, id: usize, updated: i64) {
        self.put("/flows", json!({"id": uuid(id), "updated": text(updated), "name": format!("flow {id} at {updated}")}));
    }

    pub(super) fn deployment(&mut self, id: usize, schedule: &str) {
        self.put_deployment(id, schedule, 0);
    }

    pub(super) fn deployment_updated(&mut self, id: usize, updated: i64) {
        self.put_deployment(id, "0 6 * * *", updated);
    }

    fn put_deployment(&mut self, id: usize, schedule: &str, updated: i64) {
        self.put("/deployments", json!({
            "id": uuid(id), "created": text(i64::try_from(id).expect("small")), "updated": text(updated),
            "schedules": [{"schedule": {"cron": schedule}}], "last_polled": text(self.now),
        }));
    }

    pub(super) fn put(&mut self, collection: &'static str, object: Json) {
        let objects = self.objects.entry(collection).or_default();
        objects.retain(|other| other["id"] != object["id"]);
        objects.push(object);
    }

    pub(super) fn remove(&mut self, collection: &'static str, id: usize) {
        self.objects
            .entry(collection)
            .or_default()
            .retain(|other| other["id"] != uuid(id));
    }

    pub(super) fn page(
        &mut self,
        request: &ListRequest,
    ) -> Result<(String, Option<DateTime<Utc>>), prefect::Error> {
        if self.missing.contains(&request.collection.0) {
            return Err(prefect::Error::NotFound {
                url: request.collection.0.to_owned(),
            });
        }
        if request.limit > self.limit {
            return Err(prefect::Error::LimitTooLarge { max: self.limit });
        }
        let mut objects = self
            .objects
            .get(request.collection.0)
            .cloned()
            .unwrap_or_default();
        let filter = serde_json::to_value(&request.filter).expect("serialises");
        objects.retain(|object| matches(object, &filter));
        let sort = request.sort.unwrap_or("ID_DESC");
        let key = match sort {
            "UPDATED_DESC" => "updated",
            "CREATED_DESC" => "created",
            "EXPECTED_START_TIME_DESC" | "EXPECTED_START_TIME_ASC" => "expected_start_time",
            "END_TIME_DESC" => "end_time",
            "ID_DESC" => "id",
            sort => panic!("{sort} is no sort"),
        };
        // Ties come in another order at each request, except where the order is unique.
        let turn = self.requests.len() % objects.len().max(1);
        objects.rotate_left(turn);
        objects.sort_by(|a, b| b[key].as_str().cmp(&a[key].as_str()));
        if sort.ends_with("_ASC") {
            objects.reverse();
        }
        let offset = usize::try_from(request.offset).expect("small");
        let rows: Vec<Json> = objects
            .into_iter()
            .skip(offset)
            .take(usize::try_from(request.limit).expect("small"))
            .collect();
        self.requests.push(request.clone());
        let is_poison = |row: &Json| self.poison.iter().any(|id| row["id"] == uuid(*id));
        if self.failing == Some(request.collection.0) || rows.iter().any(is_poison) {
            return Err(prefect::Error::Server {
                path: request.collection.filter_path(),
                status: 500,
                tries: 8,
            });
        }
        let date = (!self.without_date).then(|| time(self.now));
        let page = (Json::from(rows).to_string(), date);
        for change in self
            .changes
            .remove(&self.requests.len())
            .unwrap_or_default()
        {
            change(self);
        }
        Ok(page)
    }
}

/// Returns true if an object passes a filter as Prefect interprets it.
pub(super) fn matches(object: &Json, filter: &Json) -> bool {
    let any = |value: &Json, list: &Json| list.as_array().is_none_or(|list| list.contains(value));
    let within = |field: &str| {
        let range = &filter[field];
        let time = |value: &Json| serde_json::from_value::<DateTime<Utc>>(value.clone()).ok();
        let (after, before) = (time(&range["after_"]), time(&range["before_"]));
        let at = time(&object[field]);
        (after.is_none() && before.is_none())
            || at.is_some_and(|at| {
                after.is_none_or(|after| at >= after) && before.is_none_or(|before| at <= before)
            })
    };
    let null = |field: &str| {
        let is_null = &filter[field]["is_null_"];
        is_null.is_null() || *is_null == object[field].is_null()
    };
    any(&object["id"], &filter["id"]["any_"])
        && any(&object["state_type"], &filter["state"]["type"]["any_"])
        && null("start_time")
        && null("end_time")
        && within("expected_start_time")
        && within("end_time")
}

pub(super) fn uuid(id: usize) -> String {
    format!("00000000-0000-0000-0000-{id:012x}")
}

#[derive(Clone)]
pub(super) struct Server(pub(super) Arc<Mutex<World>>);

impl PrefectApi for Server {
    async fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<ListResponse<T>, prefect::Error> {
        let (body, server_time) = self.0.lock().expect("lock").page(request)?;
        Ok(ListResponse {
            page: read(body).expect("an array"),
            server_time,
        })
    }

    async fn count(&self, request: &CountRequest) -> Result<Option<u64>, prefect::Error> {
        let world = self.0.lock().expect("lock");
        Ok(world
            .objects
            .get(request.collection.0)
            .map(|objects| objects.len() as u64))
    }

    async fn version(&self) -> Result<Option<String>, prefect::Error> {
        Ok(None)
    }
}
