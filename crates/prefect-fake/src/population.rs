//! A realistic workspace, generated from a seed.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::json;

use super::{
    full_workspace,
    id::Id,
    model::{Deployment, Flow, Json, Queue, Schedule, Time},
    names,
    schedules::{self, Timing},
    store::Store,
};

/// The initial contents of a workspace.
#[derive(Debug, Clone, Copy)]
pub struct Population {
    /// The seed for everything that is not specified here.
    pub seed: u64,
    /// The present time: runs are due before or after it.
    pub now: Time,
    /// The number of flows.
    pub flows: u32,
    /// The number of deployments.
    pub deployments: u32,
    /// The number of flow runs.
    pub runs: u32,
    /// The number of days before now over which runs are spread.
    pub days: u32,
    /// The share of runs that have not ended, from 0 to 1.
    pub open_share: f64,
    /// True to add task runs, artifacts, logs, pools, variables and everything else.
    pub full_workspace: bool,
}

impl Population {
    /// An empty workspace.
    pub fn empty(seed: u64, now: Time) -> Self {
        Self {
            seed,
            now,
            flows: 0,
            deployments: 0,
            runs: 0,
            days: 0,
            open_share: 0.0,
            full_workspace: false,
        }
    }

    /// 2,000 runs over 30 days.
    pub fn small(seed: u64, now: Time) -> Self {
        Self {
            seed,
            now,
            flows: 20,
            deployments: 30,
            runs: 2_000,
            days: 30,
            open_share: 0.05,
            full_workspace: false,
        }
    }

    /// 100,000 runs over a year.
    pub fn large(seed: u64, now: Time) -> Self {
        Self {
            seed,
            now,
            flows: 120,
            deployments: 200,
            runs: 100_000,
            days: 365,
            open_share: 0.01,
            full_workspace: false,
        }
    }
}

impl Population {
    /// Adds everything that `full_workspace` generates to the same flows, deployments and runs.
    #[must_use]
    pub const fn with_full_workspace(mut self) -> Self {
        self.full_workspace = true;
        self
    }
}

/// A flow with an optional deployment, as a source of runs.
pub(super) struct Source {
    pub(super) flow_id: Id,
    pub(super) deployment: Option<Deployment>,
    pub(super) timings: Vec<Timing>,
}

/// Fills `store`, which should be empty, and sets its clock.
pub fn fill(store: &mut Store, population: &Population) {
    store.set_now(population.now);
    let mut maker = WorkspaceGenerator {
        rng: SmallRng::seed_from_u64(population.seed),
        now: store.now(),
        days: population.days,
        taken: HashSet::new(),
    };
    let queues = WorkspaceGenerator::queues(store);
    let flows: Vec<Id> = (0..population.flows)
        .map(|number| maker.flow(store, number))
        .collect();
    let mut sources: Vec<Source> = Vec::new();
    for number in 0..population.deployments {
        let Some(flow_id) = flows.choose(&mut maker.rng).copied() else {
            break;
        };
        sources.push(maker.deployment(store, number, flow_id, &queues));
    }
    // A few flows also have runs without a deployment.
    sources.extend(flows.iter().step_by(4).map(|id| Source {
        flow_id: *id,
        deployment: None,
        timings: Vec::new(),
    }));
    let mut parents: Vec<Id> = Vec::new();
    for _ in 0..population.runs {
        let Some(source) = sources.choose(&mut maker.rng) else {
            break;
        };
        let open = maker.rng.random_bool(population.open_share.clamp(0.0, 1.0));
        let mut run = maker.run(store, source, open);
        if maker.rng.random_bool(0.04) {
            maker.become_subflow(store, &mut run, &parents);
        } else if parents.len() < 1_000 {
            parents.push(run.id);
        }
        store.put_run(run);
    }
    if population.full_workspace {
        full_workspace::add(store, population.seed, &queues);
    }
}

pub(super) struct WorkspaceGenerator {
    pub(super) rng: SmallRng,
    pub(super) now: Time,
    days: u32,
    /// The due times for which a deployment's schedules have already created a run.
    pub(super) taken: HashSet<(Option<Id>, Time)>,
}

impl WorkspaceGenerator {
    pub(super) fn some<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        items.choose(&mut self.rng).copied().unwrap_or(otherwise)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    /// Returns a time in the population's span.
    pub(super) fn past(&mut self) -> Time {
        let span = i64::from(self.days.max(1)) * 86_400_000_000;
        self.now - TimeDelta::microseconds(self.rng.random_range(0..span))
    }

    pub(super) fn micros(&mut self, from: i64, to: i64) -> TimeDelta {
        TimeDelta::microseconds(self.rng.random_range(from..to))
    }

    pub(super) fn tags(&mut self, most: usize) -> Vec<String> {
        let count = self.rng.random_range(0..=most);
        names::TAGS
            .choose_multiple(&mut self.rng, count)
            .map(|tag| (*tag).to_owned())
            .collect()
    }

    fn queues(store: &mut Store) -> Vec<Queue> {
        let mut queues = Vec::new();
        for (pool_name, names) in names::POOLS {
            let pool_id = store.ids.random();
            for name in names {
                let id = store.ids.random();
                queues.push(Queue {
                    id,
                    name: name.to_owned(),
                    pool_id,
                    pool_name: pool_name.to_owned(),
                });
            }
        }
        queues
    }

    fn flow(&mut self, store: &mut Store, number: u32) -> Id {
        let created = self.past() - TimeDelta::days(i64::from(self.days));
        let names = u32::try_from(names::FLOWS.len()).unwrap_or(1);
        let name = usize::try_from(number % names)
            .ok()
            .and_then(|at| names::FLOWS.get(at))
            .copied()
            .unwrap_or("flow");
        let round = number / names;
        let labels = match self.rng.random_range(0..3) {
            0 => Json::object(),
            tier => Json::from_serialize(
                &json!({ "team": self.some(&names::TEAMS, "data"), "tier": tier, "gpu": tier == 2 }),
            ),
        };
        let id = store.ids.random();
        let updated = if self.chance(0.2) {
            self.past()
        } else {
            created + TimeDelta::microseconds(30)
        };
        let name = if round == 0 {
            name.to_owned()
        } else {
            format!("{name}-{round}")
        };
        store.put_flow(Flow {
            id,
            created,
            updated: updated.max(created),
            name,
            tags: self.tags(3),
            labels,
        });
        id
    }

    fn deployment(
        &mut self,
        store: &mut Store,
        number: u32,
        flow_id: Id,
        queues: &[Queue],
    ) -> Source {
        let created = self.past() - TimeDelta::days(i64::from(self.days));
        let id = store.ids.random();
        let paused = self.chance(0.15);
        let mut timings = Vec::new();
        let mut list = Vec::new();
        for _ in 0..self.some(&[0, 1, 1, 1, 1, 2, 3], 1) {
            let (rule, timing) = schedules::preset(self.rng.random_range(0..schedules::PRESETS));
            let active = self.chance(0.85);
            if active && !paused {
                timings.push(timing);
            }
            let slug = self.chance(0.3).then(|| format!("schedule-{number}"));
            let parameters = if self.chance(0.2) {
                Json::from_serialize(&json!({ "mode": "full" }))
            } else {
                Json::object()
            };
            list.push(Schedule {
                id: store.ids.random(),
                created,
                updated: created,
                rule,
                active,
                parameters,
                slug,
            });
        }
        let region = self.some(&["eu", "us"], "eu");
        let environment = self.some(&["prod", "staging", "développement"], "prod");
        let polled = self.chance(0.7);
        let deployment = Deployment {
            id,
            created,
            updated: created + self.micros(0, 86_400_000_000),
            name: format!("{environment}-{number}"),
            version: self
                .chance(0.6)
                .then(|| format!("1.{}.{}", number % 7, number % 3)),
            description: self
                .chance(0.5)
                .then(|| "Runs nightly; ask the data team.\nÄnderungen bitte melden.".to_owned()),
            flow_id,
            paused,
            schedules: list,
            parameters: Json::from_serialize(
                &json!({ "region": region, "batch": 500, "options": { "dry_run": false, "ratio": 0.25 } }),
            ),
            job_variables: Json::from_serialize(
                &json!({ "image": "etl:latest", "env": { "LEVEL": "info" } }),
            ),
            tags: self.tags(3),
            labels: Json::from_serialize(
                &json!({ "prefect.flow.id": flow_id, "env": environment }),
            ),
            queue: queues.choose(&mut self.rng).cloned(),
            last_polled: polled
                .then(|| self.now - TimeDelta::seconds(self.rng.random_range(1..60))),
            ready: polled,
            path: self.chance(0.5).then(|| "/opt/flows".to_owned()),
            entrypoint: Some("flows/main.py:main".to_owned()),
            enforce_parameter_schema: self.chance(0.5),
            created_by: None,
        };
        store.put_deployment(deployment.clone());
        Source {
            flow_id,
            deployment: Some(deployment),
            timings,
        }
    }
}

/// Returns the default present time of populations, fixed so that a seed alone determines the workspace.
pub fn fixed_now() -> Time {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_790_000_000)
}
