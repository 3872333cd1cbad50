//! Every kind of change to a workspace between two syncs. The next sync must send exactly the expected rows, and the
//! warehouse must then equal the API.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{
    connector::Connector,
    oracle,
    prefect_server::{Generation, PrefectServer},
    workspace::{NewDeployment, NewRun, Schedule, State, Workspace},
};

/// A change between two syncs.
struct SourceChange {
    name: &'static str,
    /// The objects on the server and in the warehouse before the change.
    before: Before,
    /// The steps, done one after another without a sync between them.
    acts: &'static [Act],
    /// The exact numbers of upserts and deletes that the next sync sends.
    sends: (u64, u64),
    promise: Promise,
}

#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    /// A run, moved to this state through the states before it.
    Run(State),
    /// The same, with its end a minute ago.
    Ended(State),
    /// A deployment with two schedules and scheduled runs.
    Deployment,
    /// A flow with a deployment, scheduled runs, and a run in each of these states.
    Flow(&'static [State]),
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Make,
    To(State),
    Rename,
    Retag,
    PauseSchedule,
    EditSchedule,
    Delete,
}

/// The time at which a change is found, according to `docs/SYNC.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// The next sync sends the change.
    NextSync,
    /// The change is sent by the age of 17 minutes. Runs that ended in the three minutes before a sync are read again
    /// by the next one, so here the next sync sends the change; `ages` tests older runs.
    VeryYoung,
    /// The change is not tracked: the row stays unchanged.
    NotTracked,
}

use {Act::*, Before::*, Promise::*, State::*};

/// The number of runs that are scheduled for each deployment.
const SCHEDULED: u64 = 3;

/// A minute in seconds.
const MINUTE: i64 = 60;

const fn change(
    name: &'static str,
    before: Before,
    acts: &'static [Act],
    sends: (u64, u64),
    promise: Promise,
) -> SourceChange {
    SourceChange {
        name,
        before,
        acts,
        sends,
        promise,
    }
}

#[rustfmt::skip]
const CHANGES: &[SourceChange] = &[
    change("nothing", Nothing, &[], (0, 0), NextSync),

    change("a run starts", Run(Scheduled), &[To(Pending), To(Running)], (1, 0), NextSync),
    change("finishes", Run(Running), &[To(Completed)], (1, 0), NextSync),
    change("fails", Run(Running), &[To(Failed)], (1, 0), NextSync),
    change("crashes", Run(Running), &[To(Crashed)], (1, 0), NextSync),
    change("is cancelled", Run(Running), &[To(Cancelling), To(Cancelled)], (1, 0), NextSync),
    change("is cancelled before its start", Run(Scheduled), &[To(Cancelled)], (1, 0), NextSync),
    change("pending, is cancelled", Run(Pending), &[To(Cancelled)], (1, 0), NextSync),

    change("made and open", Nothing, &[Make], (1, 0), NextSync),
    change("made and finished", Nothing, &[Make, To(Pending), To(Running), To(Completed)], (1, 0), NextSync),
    change("made and crashed", Nothing, &[Make, To(Pending), To(Running), To(Crashed)], (1, 0), NextSync),
    change("made and cancelled before its start", Nothing, &[Make, To(Cancelled)], (1, 0), NextSync),
    change("made and deleted", Nothing, &[Make, Delete], (0, 0), NextSync),

    change("fails, and is retried to its end", Run(Running), &[To(Failed), To(AwaitingRetry), To(Running), To(Completed)], (1, 0), NextSync),
    change("fails, and waits for its retry", Run(Running), &[To(Failed), To(AwaitingRetry)], (1, 0), NextSync),
    change("made, and retried to its end", Nothing, &[Make, To(Running), To(Failed), To(AwaitingRetry), To(Retrying), To(Completed)], (1, 0), NextSync),
    change("failed, retried to its end", Run(Failed), &[To(AwaitingRetry), To(Retrying), To(Completed)], (1, 0), NextSync),
    change("failed, runs again", Run(Failed), &[To(AwaitingRetry), To(Retrying)], (1, 0), NextSync),

    change("completed, forced to failed", Ended(Completed), &[To(Failed)], (1, 0), VeryYoung),
    change("crashed, forced to cancelled", Ended(Crashed), &[To(Cancelled)], (1, 0), VeryYoung),
    change("an ended run is renamed", Ended(Completed), &[Rename], (1, 0), VeryYoung),
    change("an ended run gets another tag", Ended(Failed), &[Retag], (1, 0), VeryYoung),
    change("an open run is renamed", Run(Running), &[Rename], (1, 0), NextSync),
    change("an open run gets another tag", Run(Scheduled), &[Retag], (1, 0), NextSync),

    change("a scheduled run is deleted", Run(Scheduled), &[Delete], (0, 1), NextSync),
    change("a running run is deleted", Run(Running), &[Delete], (0, 1), NextSync),
    change("a paused run is deleted", Run(Paused), &[Delete], (0, 1), NextSync),
    change("an ended run is deleted", Run(Completed), &[Delete], (0, 0), NotTracked),
    change("ends and is deleted", Run(Running), &[To(Completed), Delete], (0, 1), NextSync),

    // Prefect silently deletes the runs that it created for a schedule if the schedule or its deployment changes.
    change("a schedule is paused", Deployment, &[PauseSchedule], (1, SCHEDULED), NextSync),
    change("a schedule is edited", Deployment, &[EditSchedule], (1, SCHEDULED), NextSync),
    change("a deployment gets another tag", Deployment, &[Retag], (1, SCHEDULED), NextSync),
    change("a deployment is deleted", Deployment, &[Delete], (0, 1 + SCHEDULED), NextSync),
    change("a flow gets another tag", Flow(&[]), &[Retag], (1, 0), NextSync),
    change("a flow is deleted", Flow(&[Running]), &[Delete], (0, 1 + 1 + SCHEDULED + 1), NextSync),
    change("a flow with an ended run is deleted", Flow(&[Completed]), &[Delete], (0, 1 + 1 + SCHEDULED), NotTracked),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_alone_on_prefect_3() {
    each_alone(Generation::Three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_alone_on_prefect_2() {
    each_alone(Generation::Two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_changes_together_on_prefect_3() {
    all_together(Generation::Three).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_changes_together_on_prefect_2() {
    all_together(Generation::Two).await;
}

/// Makes each change between two syncs of its own, and prepares the next change in the same interval.
async fn each_alone(generation: Generation) {
    let stage = Stage::build(generation).await;
    let mut kept = BTreeSet::new();
    let mut subject = stage.prepare(&CHANGES[0]).await;
    stage.age(&CHANGES[0], &subject).await;
    stage.sync("before", (subject.rows, 0), &kept).await;
    for (at, change) in CHANGES.iter().enumerate() {
        stage.act(change, &subject).await;
        kept.extend(subject.kept(change));
        subject = match CHANGES.get(at + 1) {
            Some(next) => {
                let subject = stage.prepare(next).await;
                stage.age(next, &subject).await;
                subject
            }
            None => Subject::default(),
        };
        let sends = (change.sends.0 + subject.rows, change.sends.1);
        stage.sync(change.name, sends, &kept).await;
    }
    stage.sync("afterwards", (0, 0), &kept).await;
}

/// Makes all changes between the same two syncs.
async fn all_together(generation: Generation) {
    let stage = Stage::build(generation).await;
    let mut subjects = Vec::new();
    for change in CHANGES {
        subjects.push(stage.prepare(change).await);
    }
    for (change, subject) in CHANGES.iter().zip(&subjects) {
        stage.age(change, subject).await;
    }
    let rows = subjects.iter().map(|subject| subject.rows).sum();
    stage.sync("before", (rows, 0), &BTreeSet::new()).await;

    let mut kept = BTreeSet::new();
    for (change, subject) in CHANGES.iter().zip(&subjects) {
        stage.act(change, subject).await;
        kept.extend(subject.kept(change));
    }
    let sends = |of: fn(&SourceChange) -> u64| CHANGES.iter().map(of).sum();
    let sends = (
        sends(|change| change.sends.0),
        sends(|change| change.sends.1),
    );
    stage.sync("all changes", sends, &kept).await;
    stage.sync("afterwards", (0, 0), &kept).await;
}

/// A server with a flow, and a connection to it that has synced.
struct Stage {
    server: PrefectServer,
    workspace: Workspace,
    connector: Connector,
    flow: String,
}

/// The object of a change.
#[derive(Default)]
struct Subject {
    /// The object's id; empty if the object does not exist yet.
    id: String,
    /// Ended runs that belong to the object.
    ended: Vec<String>,
    /// The number of rows that were created with the object.
    rows: u64,
}

impl Subject {
    /// Returns the runs that a change deletes after their end.
    fn kept(&self, change: &SourceChange) -> Vec<String> {
        match (change.promise, change.before) {
            (NotTracked, Run(_) | Ended(_)) => vec![self.id.clone()],
            (NotTracked, _) => self.ended.clone(),
            _ => Vec::new(),
        }
    }
}

impl Stage {
    async fn build(generation: Generation) -> Self {
        let server = PrefectServer::start(generation).await;
        let workspace = server.workspace();
        // Small pages, so that even this small workspace has several of them.
        let connector = Connector::new(server.url(), 7);
        let flow = workspace.flow("stage", &[], json!({})).await;
        let stage = Self {
            server,
            workspace,
            connector,
            flow,
        };
        stage.sync("the first", (1, 0), &BTreeSet::new()).await;
        stage
    }

    /// Runs a sync, and checks its numbers of upserts and deletes and that the warehouse equals the API.
    async fn sync(&self, name: &str, sends: (u64, u64), kept: &BTreeSet<String>) {
        let report = self.connector.sync().await;
        let sent = (report.count("Upserts"), report.count("Deletes"));
        assert_eq!(sent, sends, "{name}: upserts and deletes {report:?}");
        oracle::compare_but(&self.connector.warehouse(), &self.workspace, kept).await;
    }

    async fn prepare(&self, change: &SourceChange) -> Subject {
        match change.before {
            Nothing => Subject::default(),
            Run(state) | Ended(state) => Subject {
                id: self.run(&self.flow, change.name, state).await,
                rows: 1,
                ..Subject::default()
            },
            Deployment => Subject {
                id: self.deployment(&self.flow, change.name).await,
                rows: 1 + SCHEDULED,
                ..Subject::default()
            },
            Flow(states) => {
                let flow = self.workspace.flow(change.name, &["old"], json!({})).await;
                self.deployment(&flow, change.name).await;
                let mut ended = Vec::new();
                for state in states {
                    ended.push(self.run(&flow, change.name, *state).await);
                }
                Subject {
                    id: flow,
                    ended,
                    rows: 1 + 1 + SCHEDULED + states.len() as u64,
                }
            }
        }
    }

    /// Moves an ended run a minute into the past. This is the last step before the sync: however long the preparation
    /// of the other objects takes, the next sync must still read this run again.
    async fn age(&self, change: &SourceChange, subject: &Subject) {
        if matches!(change.before, Ended(_)) {
            self.server.backdate(&subject.id, MINUTE).await;
        }
    }

    async fn run(&self, flow: &str, name: &str, state: State) -> String {
        let new = NewRun {
            tags: &["old"],
            ..NewRun::new(flow, name)
        };
        self.workspace.run_in(&new, state).await
    }

    async fn deployment(&self, flow: &str, name: &str) -> String {
        let new = NewDeployment {
            name,
            flow,
            schedules: &[
                (Schedule::Interval(86_400.0), true),
                (Schedule::Cron("0 6 * * *", "Europe/Berlin"), false),
            ],
            ..NewDeployment::default()
        };
        let deployment = self.workspace.deployment(&new).await;
        self.workspace.schedule_runs(&deployment, SCHEDULED).await;
        deployment
    }

    async fn act(&self, change: &SourceChange, subject: &Subject) {
        let workspace = &self.workspace;
        let collection = match change.before {
            Nothing | Run(_) | Ended(_) => "/flow_runs",
            Deployment => "/deployments",
            Flow(_) => "/flows",
        };
        let mut id = subject.id.clone();
        for act in change.acts {
            match act {
                Make => id = workspace.run(&NewRun::new(&self.flow, change.name)).await,
                To(state) => workspace.set_state(&id, *state).await,
                Rename => {
                    let change = json!({"name": "umbenannt 名"});
                    workspace.edit(collection, &id, change).await;
                }
                Retag => {
                    let change = json!({"tags": ["neu", "späte Änderung"]});
                    workspace.edit(collection, &id, change).await;
                }
                PauseSchedule => workspace.set_schedule(&id, 0, false).await,
                EditSchedule => {
                    let other = Schedule::Cron("30 7 * * 1-5", "Asia/Tokyo");
                    workspace.reschedule(&id, 0, other).await;
                }
                Delete => workspace.delete(collection, &id).await,
            }
        }
    }
}
