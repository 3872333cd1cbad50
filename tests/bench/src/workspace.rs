//! The workspace of the benchmark: runs as large as real ones, and an hour in which some of them change.

use anyhow::{Context, Result};
use chrono::TimeDelta;
use prefect_fake::{
    Collection, Id, NewRun, NewState, Options, Population, RunEdit, Server, Store, Ties,
    model::{Json, StateType},
    population, query,
};
use serde_json::json;

/// The approximate JSON size of a run in bytes, as in real workspaces.
pub const RUN_BYTES: usize = 2_500;

/// The approximate number of runs that have not ended.
const OPEN: f64 = 200.0;

/// The age up to which the connector rechecks ended runs.
const LOOK_BACK: TimeDelta = TimeDelta::days(30);

/// The number of different parameter texts.
const KINDS: usize = 64;

/// Starts a server with `runs` runs of about `bytes` bytes of JSON each.
pub async fn start(runs: u32, bytes: usize) -> Result<Server> {
    let population = Population {
        runs,
        open_share: (OPEN / f64::from(runs)).min(1.0),
        ..Population::large(4, population::fixed_now())
    };
    let mut options = Options::new(population);
    options.settings.ties = Ties::Stable;
    let server = Server::start(options).await?;
    server.with_store(|store| enlarge(store, bytes))?;
    Ok(server)
}

/// Gives all runs parameters that bring their JSON to `bytes` bytes.
fn enlarge(store: &mut Store, bytes: usize) -> Result<()> {
    let ids: Vec<Id> = store.runs().map(|run| run.id).collect();
    let sample: Vec<Id> = ids.iter().copied().take(500).collect();
    let mut around = 0;
    for id in &sample {
        let text = query::get(store, Collection::FlowRuns, *id).ok();
        let own = store.run(*id).map_or(0, |run| run.parameters.text().len());
        around += text.context("a run cannot be shown")?.len() - own;
    }
    let wanted = bytes.saturating_sub(around / sample.len().max(1));
    let kinds: Vec<Json> = (0..KINDS).map(|kind| parameters(kind, wanted)).collect();
    for (nth, id) in ids.into_iter().enumerate() {
        if let Some(mut run) = store.run(id).cloned() {
            run.parameters = kinds[nth % KINDS].clone();
            store.put_run(run);
        }
    }
    Ok(())
}

/// Returns parameters like those of a loading job, of `bytes` bytes or a little more.
fn parameters(kind: usize, bytes: usize) -> Json {
    let mut tables = Vec::new();
    loop {
        let value = json!({
            "date": format!("2026-03-{:02}", kind % 28 + 1),
            "full_refresh": kind.is_multiple_of(2),
            "threshold": 0.25,
            "note": null,
            "text": "naïve — “quoted”, tab\tand newline\n",
            "tables": tables,
        });
        if value.to_string().len() >= bytes {
            return Json::from_serialize(&value);
        }
        let number = tables.len() + kind;
        tables.push(json!({
            "name": format!("raw.orders_{number:03}"),
            "columns": ["id", "created_at", "amount", "currency"],
            "batch": number * 500,
        }));
    }
}

/// Advances the clock by an hour in which `share` of the runs change, and returns the number of changes. Half of them
/// are new runs that ended, a quarter are new runs that are running, and a quarter are ended runs that are renamed.
pub fn change(store: &mut Store, share: f64) -> Result<u64> {
    let now = store.now();
    let ended: Vec<Id> = store
        .runs()
        .filter(|run| run.end_time.is_some_and(|end| end > now - LOOK_BACK))
        .map(|run| run.id)
        .collect();
    let flows: Vec<Id> = store.flows().map(|flow| flow.id).collect();
    let runs = u32::try_from(store.len(Collection::FlowRuns))?;
    let changes = whole(f64::from(runs) * share).max(1);
    let step = TimeDelta::hours(1) / i32::try_from(changes)?;
    for (nth, flow) in (0..changes).zip(flows.iter().cycle()) {
        store.advance(step);
        if nth % 4 == 3 {
            let spread = ended.len() / usize::try_from(changes)?.max(1);
            let id = ended[usize::try_from(nth)? * spread.max(1) % ended.len()];
            let name = Some(format!("renamed at {}", store.now()));
            store.edit_run(
                id,
                RunEdit {
                    name,
                    ..RunEdit::default()
                },
            )?;
            continue;
        }
        let (id, _) = store.create_run(NewRun::new(*flow))?;
        store.set_state(id, NewState::new(StateType::Running))?;
        if nth % 4 < 2 {
            store.set_state(id, NewState::new(StateType::Completed))?;
        }
    }
    store.advance(now + TimeDelta::hours(1) - store.now());
    Ok(u64::from(changes))
}

/// Returns the nearest whole number of a number that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and not negative"
)]
fn whole(number: f64) -> u32 {
    number.round() as u32
}
