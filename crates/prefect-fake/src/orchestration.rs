//! The changes of state that a server rejects unless they are forced.

use super::{model::StateType as S, versions::Capabilities};

/// The response to a requested change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The state is set.
    Accept,
    /// The state is not set; the client should stop.
    Abort(String),
    /// The state is not set.
    Reject(String),
    /// Another state is set instead, for this reason.
    Instead(S, String),
}

/// Decides about a change `from` → `to`, as observed at real servers for each pair.
pub(super) fn judge(from: S, to: S, deployed: bool, capabilities: &Capabilities) -> Verdict {
    let third = capabilities.third_generation;
    let reject = |reason: &str| Verdict::Reject(reason.to_owned());
    match (from, to) {
        (S::Scheduled, S::Cancelling) => Verdict::Instead(
            S::Cancelled,
            "Scheduled flow run has no infrastructure to terminate.".to_owned(),
        ),
        (S::Cancelling, to) if to != S::Cancelled => {
            reject("Cannot transition flows that are cancelling to a state other than Cancelled.")
        }
        (from, S::Scheduled) if from.is_terminal() && !deployed => {
            Verdict::Abort("Cannot reschedule a run without an associated deployment.".to_owned())
        }
        (from, S::Crashed | S::Paused | S::Cancelling) if from.is_terminal() => {
            Verdict::Abort(format!("Run is already in terminal state {}.", from.text()))
        }
        (S::Cancelled, S::Pending | S::Running | S::Completed | S::Failed) if !third => {
            reject("Cannot transition flows that are cancelling to a state other than Cancelled.")
        }
        (S::Pending | S::Running | S::Cancelled, S::Pending) => Verdict::Abort(format!(
            "This run is in a {} state and cannot transition to a PENDING state.",
            from.text()
        )),
        (S::Scheduled | S::Pending | S::Paused, S::Paused) => {
            reject("Cannot pause flows that are not currently running.")
        }
        (S::Paused, S::Pending) => reject(
            "This run cannot transition to the StateType.PENDING state from the StateType.PAUSED state.",
        ),
        (S::Paused, S::Cancelling) if !third => reject(
            "This run cannot transition to the StateType.CANCELLING state from the StateType.PAUSED state.",
        ),
        _ => Verdict::Accept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::{V2_20, V3_9};

    #[test]
    fn generations_differ_where_they_were_seen_to() {
        assert_eq!(
            judge(S::Paused, S::Cancelling, false, &V3_9),
            Verdict::Accept
        );
        assert!(matches!(
            judge(S::Paused, S::Cancelling, false, &V2_20),
            Verdict::Reject(_)
        ));
        assert_eq!(
            judge(S::Failed, S::Completed, false, &V3_9),
            Verdict::Accept
        );
        assert!(matches!(
            judge(S::Completed, S::Scheduled, false, &V3_9),
            Verdict::Abort(_)
        ));
        assert_eq!(
            judge(S::Completed, S::Scheduled, true, &V3_9),
            Verdict::Accept
        );
    }
}
