//! Words for generated names.

use super::id::Id;
use super::table::mix;

const ADJECTIVES: [&str; 24] = [
    "amber", "brave", "calm", "daring", "eager", "fuzzy", "gentle", "humble", "icy", "jolly",
    "keen", "lucid", "mellow", "nimble", "olive", "proud", "quiet", "rapid", "silver", "tidy",
    "upbeat", "vivid", "witty", "zesty",
];

const ANIMALS: [&str; 24] = [
    "auk", "badger", "crane", "dingo", "egret", "ferret", "gecko", "heron", "ibis", "jackal",
    "koala", "lemur", "marmot", "newt", "otter", "puffin", "quokka", "raven", "seal", "tapir",
    "urchin", "vole", "walrus", "yak",
];

/// Names of flows: some in other scripts, one with a quote.
pub(super) const FLOWS: [&str; 20] = [
    "etl-orders",
    "sync-customers",
    "ml-train",
    "ml-score",
    "daily-report",
    "ingest-clicks",
    "dbt-build",
    "backup-warehouse",
    "données-quotidiennes",
    "日次集計",
    "Überprüfung der Rechnungen",
    "🦀-compactor",
    "отчёт-продаж",
    "refresh-features",
    "reconcile-payments",
    "geo-enrich",
    "invoice \"final\" export",
    "purge-expired",
    "web-crawl",
    "forecast-demand",
];

/// Tags.
pub(super) const TAGS: [&str; 10] = [
    "prod",
    "staging",
    "etl",
    "ml",
    "eu",
    "us",
    "nightly",
    "pii",
    "équipe-données",
    "team: growth",
];

/// Teams, for labels.
pub(super) const TEAMS: [&str; 4] = ["data", "ml", "finance", "größe"];

/// Names of work pools, each with the names of its queues.
pub(super) const POOLS: [(&str, [&str; 2]); 3] = [
    ("k8s-pool", ["default", "high"]),
    ("ecs-pool", ["default", "spot"]),
    ("local", ["default", "gpu"]),
];

/// Messages of failed runs.
pub(super) const FAILURES: [&str; 4] = [
    "Flow run encountered an exception: ValueError: could not convert string to float: 'n/a'",
    "Flow run encountered an exception: TimeoutError",
    "Task run failed: KeyError(\"id\")\n  in line 42",
    "Finished in state Failed('1/3 states failed.')",
];

fn pick<'a>(words: &[&'a str], number: u64) -> &'a str {
    let count = u64::try_from(words.len()).unwrap_or(1).max(1);
    usize::try_from(number % count)
        .ok()
        .and_then(|at| words.get(at))
        .copied()
        .unwrap_or_default()
}

/// Returns a name like those that Prefect generates, the same for the same id.
pub(super) fn made_up_name(id: Id) -> String {
    let number = id.fold();
    format!(
        "{}-{}",
        pick(&ADJECTIVES, number),
        pick(&ANIMALS, mix(number))
    )
}
