//! States that are requested run by run: those of ended runs, and those from before the first event.

use super::{Feed, OVERLAP, phase::Phase, runs_with_states::RunsWithStates};
use crate::{
    rows::fingerprint,
    sync::{
        NoProgress,
        strategies::{
            emission::{Change, Emission},
            request::FetchedPage,
        },
    },
    tables,
};

impl Feed {
    /// Takes a page of ended runs, or the states of one run.
    pub(super) fn runs(
        &mut self,
        mut runs: Box<RunsWithStates>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let asked = runs.take_asked();
        if asked.is_none() {
            self.begin_window(&page, runs.time());
        }
        let Some((ended, window)) = asked.zip(self.state.window.as_mut()) else {
            self.seen.any |= page.objects > 0;
            runs.accept(&page)?;
            self.go_on_with(runs, emission);
            return Ok(());
        };
        // The next window reads this run again, with all its states.
        let is_read_again = ended >= window.hi - OVERLAP;
        for row in page.list {
            let hash = fingerprint(&row);
            let was_seen = window.seen.contains(hash);
            if is_read_again {
                window.seen.insert(hash);
            }
            if !was_seen && !self.state.recent.contains(hash) {
                emission.changes.push(Change::Upsert(row));
            }
        }
        self.pass(Some(runs.reached(ended)), emission);
        self.go_on_with(runs, emission);
        Ok(())
    }

    pub(super) fn go_on_with(&mut self, runs: Box<RunsWithStates>, emission: &mut Emission) {
        self.phase = if runs.is_done() {
            self.finish(emission)
        } else {
            Phase::Runs(runs)
        };
    }

    /// Returns the phase that follows when all windows are read.
    pub(super) fn begin_earlier(&self) -> Phase {
        let runs = self.earlier_runs();
        runs.map_or(Phase::Done, |runs| Phase::Earlier(Box::new(runs)))
    }

    /// Returns the runs whose earlier states must be read.
    pub(super) fn earlier_runs(&self) -> Option<RunsWithStates> {
        match (self.kind, &self.state.earlier) {
            (
                tables::Feed::Events(tables::Events {
                    fallback: Some(runs),
                    ..
                }),
                Some(earlier),
            ) => Some(earlier.runs(runs, self.start)),
            _ => None,
        }
    }

    /// Continues after the earlier states of `runs`: from open runs to ended ones, then to open runs again.
    pub(super) fn earlier_done(&mut self, runs: RunsWithStates) {
        let Some(earlier) = &mut self.state.earlier else {
            return;
        };
        let next = if runs.is_second_look() {
            self.state.earlier = None;
            None
        } else if earlier.is_open_read {
            Some(runs.second_look())
        } else {
            earlier.is_open_read = true;
            self.earlier_runs().map(|next| next.after(runs))
        };
        self.phase = next.map_or(Phase::Done, |runs| Phase::Earlier(Box::new(runs)));
    }

    /// Takes a page of runs, or the states of one run; sends those from before the first event.
    pub(super) fn earlier(
        &mut self,
        mut runs: Box<RunsWithStates>,
        page: FetchedPage,
        emission: &mut Emission,
    ) -> Result<(), NoProgress> {
        let Some(earlier) = &mut self.state.earlier else {
            return Ok(());
        };
        match runs.take_asked() {
            None => runs.accept(&page)?,
            Some(reached) => {
                for row in page.list {
                    let at = row.instant(self.time);
                    if !earlier.is_before_events(at) {
                        continue;
                    }
                    let hash = fingerprint(&row);
                    if !earlier.sent.contains(hash) {
                        earlier.sent.insert(hash);
                        emission.changes.push(Change::Upsert(row));
                    }
                }
                if earlier.is_open_read && !runs.is_second_look() {
                    earlier.before = Some(runs.reached(reached));
                }
            }
        }
        if runs.is_done() {
            self.earlier_done(*runs);
        } else {
            self.phase = Phase::Earlier(runs);
        }
        Ok(())
    }
}
