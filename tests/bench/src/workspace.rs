//! The workspace of the benchmark: runs as large as real ones, and an hour in which some change.

use anyhow::{Context, Result};
use chrono::TimeDelta;
use fivetran_source::demo::{
    Collection, Id, NewRun, NewState, Options, Population, RunEdit, Server, Store, Ties,
    model::{Json, StateType},
    population, query,
};
use serde_json::json;

/// The JSON of a run, in bytes, about: what real ones have.
pub const RUN_BYTES: usize = 2_500;

/// Runs that have not ended, about.
const OPEN: f64 = 200.0;

/// How far back the connector looks for edits of ended runs.
const LOOK_BACK: TimeDelta = TimeDelta::days(30);

/// Different texts of parameters.
const KINDS: usize = 64;

/// Starts a server with `runs` runs of about `bytes` bytes of JSON each.
pub async fn start(runs: u32, bytes: usize) -> Result<Server> {
    let population = Population {
        runs,
        open_share: (OPEN / f64::from(runs)).min(1.0),
        ..Population::large(4, population::fixed_now())
    };
    let mut options = Options::of(population);
    options.settings.ties = Ties::Stable;
    let server = Server::start(options).await?;
    server.with_store(|store| enlarge(store, bytes))?;
    Ok(server)
}

/// Gives all runs parameters that make them as large as wanted.
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

/// Parameters as a loading job has them, of `bytes` bytes or a little more.
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
            return Json::of(&value);
        }
        let number = tables.len() + kind;
        tables.push(json!({
            "name": format!("raw.orders_{number:03}"),
            "columns": ["id", "created_at", "amount", "currency"],
            "batch": number * 500,
        }));
    }
}

/// Lets an hour pass in which a share of as many runs changes: half of them are new and have ended, a
/// quarter are new and still run, a quarter are ended ones that are renamed. How many changed.
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
        let (id, _) = store.create_run(NewRun::of(*flow))?;
        store.set_state(id, NewState::of(StateType::Running))?;
        if nth % 4 < 2 {
            store.set_state(id, NewState::of(StateType::Completed))?;
        }
    }
    store.advance(now + TimeDelta::hours(1) - store.now());
    Ok(u64::from(changes))
}

/// The nearest whole number of one that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and not negative"
)]
fn whole(number: f64) -> u32 {
    number.round() as u32
}
