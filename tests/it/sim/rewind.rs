//! Rewinds of a table to a time: the rows since then, which the destination lost, are sent again.

use std::env;

use chrono::TimeDelta;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::{
    block_on, checker::Violation, report, simulation_harness::SimulationHarness, world::Nature,
};

/// The seeds of histories that once failed the checks: read logs that lost readings; a run not known as open; an edit
/// that a recheck had found late; a date in whole seconds.
const ONCE_FAILED: [u64; 4] = [1061, 2263, 5827, 13_401];

/// The number of rewinds, and of rows sent after them.
#[derive(Debug, Default)]
struct Tally {
    rewinds: u32,
    upserts: u32,
}

#[test]
fn rows_since_a_time_are_sent_again_from_a_rewound_state() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (first, seeds) = (
        number("SIM_FIRST").unwrap_or(0),
        number("SIM_SEEDS").unwrap_or(40),
    );
    let mut tally = Tally::default();
    for seed in ONCE_FAILED.into_iter().chain(first..first + seeds) {
        let run = |is_logged, tally: &mut Tally| {
            let mut rng = SmallRng::seed_from_u64(seed ^ 0x4e17);
            let mut harness = SimulationHarness::new(Nature::random(&mut rng), seed, is_logged);
            let result = block_on(continue_history(&mut harness, &mut rng, tally));
            let story = harness.world().story.take().unwrap_or_default();
            result.map_err(|violation| (violation, story))
        };
        if run(false, &mut tally).is_err() {
            let (violation, story) = run(true, &mut tally).expect_err("it is deterministic");
            let repeat = format!("SIM_FIRST={seed} SIM_SEEDS=1, this test");
            panic!(
                "{}",
                report(&violation, &story, &format!("rewind-{seed}"), &repeat)
            );
        }
    }
    println!("{seeds} seeds: {tally:?}");
    assert!(u64::from(tally.rewinds) >= seeds / 2, "{tally:?}");
    assert!(tally.upserts > tally.rewinds, "{tally:?}");
}

fn interval(rng: &mut SmallRng) -> TimeDelta {
    match rng.random_range(0..10) {
        0..=3 => TimeDelta::minutes(rng.random_range(5..30)),
        4..=7 => TimeDelta::minutes(rng.random_range(30..600)),
        8 => TimeDelta::hours(rng.random_range(10..60)),
        _ => TimeDelta::hours(rng.random_range(48..300)),
    }
}

async fn continue_history(
    harness: &mut SimulationHarness,
    rng: &mut SmallRng,
    tally: &mut Tally,
) -> Result<(), Violation> {
    harness.world().grow_up();
    for _ in 0..rng.random_range(1..6) {
        harness.sync().await?;
        let interval = interval(rng);
        harness.world().pass(interval);
    }
    // A rewind needs a complete sync; simulated failures may prevent it.
    if !harness.sync().await?.complete {
        return Ok(());
    }
    let point = harness.point();
    for _ in 0..rng.random_range(1..5) {
        let interval = interval(rng);
        harness.world().pass(interval);
        let cut = if rng.random_bool(0.2) {
            rng.random_range(0..40)
        } else {
            usize::MAX
        };
        harness.sync_until(cut).await?;
    }
    if rng.random() {
        let interval = interval(rng);
        harness.world().pass(interval);
    }
    for table in ["flow_runs", "flows"] {
        tally.rewinds += u32::from(harness.rewind(&point, table));
    }
    tally.upserts += harness.sync().await?.upserts;
    harness.settle().await
}
