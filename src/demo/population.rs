//! A realistic workspace from a seed.

use chrono::{DateTime, TimeDelta};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::json;

use super::{
    id::Id,
    model::{Creator, Deployment, Flow, FlowRun, Json, Queue, Schedule, State, StateType, Time},
    schedules::{self, Timing},
    store::Store,
    words,
};

/// What a workspace holds at first.
#[derive(Debug, Clone, Copy)]
pub struct Population {
    /// Decides everything that is left open here.
    pub seed: u64,
    /// The present; runs lie before it, or are due after it.
    pub now: Time,
    /// Flows.
    pub flows: u32,
    /// Deployments.
    pub deployments: u32,
    /// Flow runs.
    pub runs: u32,
    /// Days back from now over which runs are spread.
    pub days: u32,
    /// The share of runs that have not ended, from 0 to 1.
    pub open_share: f64,
}

impl Population {
    /// Nothing.
    pub fn empty(seed: u64, now: Time) -> Self {
        Self {
            seed,
            now,
            flows: 0,
            deployments: 0,
            runs: 0,
            days: 0,
            open_share: 0.0,
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
        }
    }
}

/// A deployment with what its runs need.
struct Source {
    flow_id: Id,
    deployment: Option<Deployment>,
    timings: Vec<Timing>,
}

/// Fills `store`, which should be empty, and sets its clock.
pub fn fill(store: &mut Store, population: &Population) {
    store.set_now(population.now);
    let mut maker = Maker {
        rng: SmallRng::seed_from_u64(population.seed),
        now: store.now(),
        days: population.days,
    };
    let queues = maker.queues(store);
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
    // A few flows are also run by hand.
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
}

struct Maker {
    rng: SmallRng,
    now: Time,
    days: u32,
}

impl Maker {
    fn some<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        items.choose(&mut self.rng).copied().unwrap_or(otherwise)
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    /// A time in the population's span.
    fn past(&mut self) -> Time {
        let span = i64::from(self.days.max(1)) * 86_400_000_000;
        self.now - TimeDelta::microseconds(self.rng.random_range(0..span))
    }

    fn micros(&mut self, from: i64, to: i64) -> TimeDelta {
        TimeDelta::microseconds(self.rng.random_range(from..to))
    }

    fn tags(&mut self, most: usize) -> Vec<String> {
        let count = self.rng.random_range(0..=most);
        words::TAGS
            .choose_multiple(&mut self.rng, count)
            .map(|tag| (*tag).to_owned())
            .collect()
    }

    fn queues(&mut self, store: &mut Store) -> Vec<Queue> {
        let mut queues = Vec::new();
        for (pool_name, names) in words::POOLS {
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
        let names = u32::try_from(words::FLOWS.len()).unwrap_or(1);
        let name = usize::try_from(number % names)
            .ok()
            .and_then(|at| words::FLOWS.get(at))
            .copied()
            .unwrap_or("flow");
        let round = number / names;
        let labels = match self.rng.random_range(0..3) {
            0 => Json::object(),
            tier => Json::of(
                &json!({ "team": self.some(&words::TEAMS, "data"), "tier": tier, "gpu": tier == 2 }),
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
                Json::of(&json!({ "mode": "full" }))
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
            parameters: Json::of(
                &json!({ "region": region, "batch": 500, "options": { "dry_run": false, "ratio": 0.25 } }),
            ),
            job_variables: Json::of(&json!({ "image": "etl:latest", "env": { "LEVEL": "info" } })),
            tags: self.tags(3),
            labels: Json::of(&json!({ "prefect.flow.id": flow_id, "env": environment })),
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

    fn run(&mut self, store: &mut Store, source: &Source, open: bool) -> FlowRun {
        let timing = source.timings.choose(&mut self.rng).copied();
        let future = open && timing.is_some() && self.chance(0.6);
        let expected = match timing {
            Some(timing) if future => timing.after(self.now, self.rng.random_range(0..100)),
            // Open runs are young, as they are in a workspace that works.
            Some(timing) if open => timing.at_or_before(self.now - self.micros(0, 7_200_000_000)),
            Some(timing) => {
                let at = self.past();
                timing.at_or_before(at)
            }
            None if open => self.now - self.micros(0, 7_200_000_000),
            None => self.past(),
        };
        let created = if timing.is_some() {
            (expected - TimeDelta::hours(36)).min(self.now)
        } else {
            expected
        };
        let id = if timing.is_some() {
            store.ids.ordered(created)
        } else {
            store.ids.random()
        };
        let mut run = self.waiting(store, source, id, created, expected);
        run.auto_scheduled = timing.is_some();
        if run.auto_scheduled {
            run.tags.insert(0, "auto-scheduled".to_owned());
            run.idempotency_key = run
                .deployment_id
                .map(|id| format!("scheduled {id} {expected}"));
            let display_value = "CronSchedule".to_owned();
            run.created_by = Some(Creator {
                id: run.deployment_id,
                kind: "SCHEDULE".to_owned(),
                display_value,
            });
        }
        if future {
            return run;
        }
        if open {
            self.keep_open(store, &mut run)
        } else {
            self.live(store, &mut run)
        }
        run
    }

    /// A run that waits for its time.
    fn waiting(
        &mut self,
        store: &mut Store,
        source: &Source,
        id: Id,
        created: Time,
        expected: Time,
    ) -> FlowRun {
        let deployment = source.deployment.as_ref();
        let mut tags = self.tags(2);
        tags.extend(deployment.iter().flat_map(|d| d.tags.iter().cloned()));
        let state = State {
            id: store.ids.ordered(created),
            kind: StateType::Scheduled,
            name: "Scheduled".to_owned(),
            timestamp: created,
            message: Some("Flow run scheduled".to_owned()),
            scheduled_time: Some(expected),
            pause_timeout: None,
        };
        FlowRun {
            id,
            created,
            updated: created + TimeDelta::microseconds(900),
            name: words::made_up_name(id),
            flow_id: source.flow_id,
            deployment_id: deployment.map(|d| d.id),
            deployment_version: deployment.and_then(|d| d.version.clone()),
            queue: deployment.and_then(|d| d.queue.clone()),
            flow_version: None,
            parameters: self.parameters(deployment, expected),
            idempotency_key: None,
            retries: self.chance(0.1).then_some((3, 60)),
            tags,
            labels: deployment.map_or_else(Json::object, |d| d.labels.clone()),
            parent_task_run_id: None,
            parent_run: None,
            run_count: 0,
            expected_start_time: expected,
            next_scheduled_start_time: Some(expected),
            start_time: None,
            end_time: None,
            total_run_time: TimeDelta::zero(),
            auto_scheduled: false,
            infrastructure_pid: None,
            created_by: None,
            state,
            job_variables: Some(Json::object()),
        }
    }

    fn parameters(&mut self, deployment: Option<&Deployment>, due: Time) -> Json {
        if let Some(deployment) = deployment.filter(|_| self.rng.random_bool(0.6)) {
            return deployment.parameters.clone();
        }
        if self.chance(0.2) {
            return Json::object();
        }
        Json::of(&json!({
            "date": due.date_naive().to_string(),
            "batch": self.rng.random_range(1..10_000),
            "filters": { "countries": ["DE", "FR", "日本"], "min": 0.5, "note": null, "deep": [[1, 2], { "x": true }] },
            "text": "naïve — “quoted”, tab\tand newline\n",
        }))
    }

    /// Puts a run into a state; times follow as they do at a server.
    fn enter(
        &mut self,
        store: &mut Store,
        run: &mut FlowRun,
        kind: StateType,
        name: &str,
        at: Time,
    ) {
        run.next_scheduled_start_time = (kind == StateType::Scheduled).then_some(at);
        run.updated = at + TimeDelta::microseconds(4_000);
        run.state = State {
            id: store.ids.ordered(at),
            kind,
            name: name.to_owned(),
            timestamp: at,
            message: None,
            scheduled_time: (kind == StateType::Scheduled).then_some(at),
            pause_timeout: (kind == StateType::Paused).then_some(at + TimeDelta::hours(1)),
        };
    }

    fn begin(&mut self, run: &mut FlowRun) -> Time {
        let start = (run.expected_start_time + self.micros(50_000, 30_000_000)).min(self.now);
        run.start_time = Some(start);
        run.run_count = 1;
        run.infrastructure_pid = self.chance(0.3).then(|| format!("pod-{}", run.id));
        start
    }

    /// A run that has not ended, and should have started.
    fn keep_open(&mut self, store: &mut Store, run: &mut FlowRun) {
        let started = matches!(self.rng.random_range(0..10), 0..=5);
        if !started {
            let at = run.expected_start_time.min(self.now);
            if self.chance(0.5) {
                self.enter(store, run, StateType::Pending, "Pending", at);
            } else {
                self.enter(store, run, StateType::Scheduled, "Late", at);
            }
            return;
        }
        let start = self.begin(run);
        let later = (start + self.micros(1_000_000, 600_000_000)).min(self.now);
        match self.rng.random_range(0..8) {
            0 => self.enter(store, run, StateType::Paused, "Paused", later),
            1 => self.enter(store, run, StateType::Cancelling, "Cancelling", later),
            2 => {
                run.run_count = 2;
                self.enter(store, run, StateType::Running, "Retrying", later);
            }
            _ => return self.enter(store, run, StateType::Running, "Running", start),
        }
        run.total_run_time = later - start;
    }

    /// The life of a run that ended.
    fn live(&mut self, store: &mut Store, run: &mut FlowRun) {
        if self.chance(0.02) {
            // Cancelled before it ran.
            let at = (run.expected_start_time + self.micros(0, 3_600_000_000)).min(self.now);
            if store.settings().capabilities.never_started_gets_times {
                (run.start_time, run.end_time) = (Some(at), Some(at));
            }
            return self.enter(store, run, StateType::Cancelled, "Cancelled", at);
        }
        let start = self.begin(run);
        let length = if self.chance(0.1) {
            self.micros(600_000_000, 7_200_000_000)
        } else {
            self.micros(20_000, 300_000_000)
        };
        let end = (start + length).min(self.now);
        run.end_time = Some(end);
        run.total_run_time = end - start;
        if self.chance(0.08) {
            run.run_count = self.rng.random_range(2..5);
        }
        let (kind, name) = match self.rng.random_range(0..100) {
            0..=79 => (StateType::Completed, "Completed"),
            80..=82 => (StateType::Completed, "Cached"),
            83..=92 => (StateType::Failed, "Failed"),
            93 => (StateType::Failed, "TimedOut"),
            94..=96 => (StateType::Crashed, "Crashed"),
            _ => (StateType::Cancelled, "Cancelled"),
        };
        self.enter(store, run, kind, name, end);
        if kind == StateType::Failed {
            run.state.message = Some(self.some(&words::FAILURES, "failed").to_owned());
        }
        if self.chance(0.01) {
            // Someone renamed or tagged it much later.
            run.updated = (end + self.micros(0, 5 * 86_400_000_000)).min(self.now);
            run.name = format!("{} ✓", run.name);
        }
    }

    fn become_subflow(&mut self, store: &mut Store, run: &mut FlowRun, parents: &[Id]) {
        if let Some(parent) = parents.choose(&mut self.rng) {
            run.parent_run = Some(*parent);
            run.parent_task_run_id = Some(store.ids.random());
        }
    }
}

/// The present of populations that no one gives one: fixed, so that a seed alone makes the same workspace.
pub fn fixed_now() -> Time {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_790_000_000)
}
