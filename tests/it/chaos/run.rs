//! One run of a case: a sync with the fault, and the checks of that sync and of later ones.

use std::{sync::Arc, time::Duration};

use fivetran_source::prefect::RetryPolicy;
use test_support::{Destination, Disagreement};
use tonic::Code;

use super::{
    Ends,
    faults::{Case, Way},
    matrix::hide_addresses,
    proxy::{At, Plan, Proxy},
    tls::Authority,
    world::{ROWS, Synced, World},
};
use crate::support::served::{rows, warnings};

/// The outcome of one run.
pub(super) struct FaultOutcome {
    pub(super) ends: Ends,
    /// The messages to the user.
    pub(super) reported: Vec<String>,
}

impl FaultOutcome {
    /// Judges a sync by its end and by the destination.
    fn from_sync(synced: &Synced, is_complete: bool) -> Result<Self, String> {
        let mut reported: Vec<String> = warnings(&synced.operations)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let ends = match (&synced.end, synced.task()) {
            (Err(status), None) => {
                reported.push(status.message().to_owned());
                match status.code() {
                    Code::Unavailable => Ends::Unavailable,
                    Code::Internal => Ends::Internal,
                    Code::InvalidArgument => Ends::InvalidArgument,
                    code => return Err(format!("ends with {code:?}: {}", status.message())),
                }
            }
            (Ok(()), Some(task)) => {
                reported.push(task.to_owned());
                Ends::Task
            }
            (Ok(()), None) if is_complete => Ends::Survives,
            (Ok(()), None) if reported.is_empty() => Ends::Believed,
            (Ok(()), None) => Ends::Warned,
            (Err(status), Some(task)) => return Err(format!("two ends: {status}, {task}")),
        };
        Ok(Self { ends, reported })
    }
}

/// Returns the patience for a sync with a fault that lasts until the client stops waiting. That takes real time, in
/// which a busy machine may also be late with a good response. With a fault that occurs once there are tries to spare.
fn patience(forever: bool) -> RetryPolicy {
    let short = Duration::from_secs(1);
    RetryPolicy {
        max_attempts: if forever {
            2
        } else {
            RetryPolicy::SYNC.max_attempts
        },
        connect_timeout: short,
        read_timeout: short,
        ..RetryPolicy::SYNC
    }
}

/// The frequency and the place of a case's fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) at: At,
    pub(super) forever: bool,
    /// The table that is requested first while the others wait for it. `None`: one request at a time.
    pub(super) first: Option<&'static str>,
}

/// Runs a case; returns an error if a check fails.
pub(super) async fn run(
    case: Arc<Case>,
    Setting { at, forever, first }: Setting,
    want: Arc<Destination>,
) -> Result<FaultOutcome, String> {
    let mut world = World::start(RetryPolicy::SYNC).await;
    let tls = (case.way == Way::Https).then(|| Arc::clone(&Authority::get().good));
    let plan = Plan {
        fault: case.fault.clone(),
        at,
        forever,
        first,
    };
    let proxy = Arc::new(Proxy::start(&world.prefect.url(), tls, plan));
    world.notify_when_waiting(&proxy);
    let address = proxy.address();
    let url = match case.way {
        Way::Http => format!("http://{address}/api"),
        Way::HttpFromAfar => format!("http://0.0.0.0:{}/api", address.port()),
        Way::Https => format!("https://{address}/api"),
    };
    let mut configuration = World::configuration(&url);
    if first.is_none() {
        // Even one table sends several requests at once, and they arrive in any order.
        configuration.insert("concurrency".to_owned(), "1".to_owned());
    }
    if case.way == Way::Https {
        let pem = Authority::get().pem.clone();
        configuration.insert("ca_certificate".to_owned(), pem);
    }

    if at == At::Second {
        proxy.arm(false);
        let first = world.sync(&configuration).await;
        first
            .end
            .map_err(|status| format!("the first sync fails: {status}"))?;
        proxy.arm(true);
    }
    if case.hangs {
        world.be_patient(patience(forever)).await;
    }
    let synced = world.sync(&configuration).await;
    let hits = proxy.heal().await;
    if case.hangs {
        world.be_patient(RetryPolicy::SYNC).await;
    }
    if hits == 0 || (!forever && hits > 1) {
        return Err(format!("the fault was met {hits} times"));
    }
    let differences = world.differences(&want);
    // In the second sync the destination is complete already; that sync only must not fail.
    let is_complete = differences.is_empty();
    let mut outcome = FaultOutcome::from_sync(&synced, is_complete)?;
    let is_once = at == At::Second || rows(&synced.operations) == ROWS;
    if outcome.ends == Ends::Survives && !is_once {
        return Err(format!("{} rows sent", rows(&synced.operations)));
    }
    let mut deletes = differences.iter();
    if let Some(deleted) = deletes.find(|it| it.what == Disagreement::Deleted) {
        return Err(format!("false delete: {deleted}"));
    }

    // Without the fault the next sync continues from the checkpoint and completes the destination.
    let healed = world.sync(&configuration).await;
    if healed.end.is_err() || healed.task().is_some() {
        return Err(format!(
            "the next sync fails: {:?} {:?}",
            healed.end,
            healed.task()
        ));
    }
    let differences = world.differences(&want);
    if !differences.is_empty() {
        return Err(format!(
            "{} differences after the next sync, such as {}",
            differences.len(),
            differences[0]
        ));
    }
    let quiet = world.sync(&configuration).await;
    if quiet.end.is_err() || quiet.changes() > 0 {
        return Err(format!("not quiet: {} changes", quiet.changes()));
    }
    for text in &mut outcome.reported {
        *text = hide_addresses(text);
    }
    Ok(outcome)
}
