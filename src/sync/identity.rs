//! Decides whether a saved state belongs to the configured workspace.
//!
//! A server's address may change although it stays the same server. Ids are random, so a workspace that contains some
//! of the known objects is the one that was read before.

use super::{Engine, Error, State, StateError, strategies};
use crate::{
    messages,
    prefect::{self, PrefectApi},
    rows::PageReader,
    tables::Table,
};

/// The number of known objects of each table that are looked up, because some may be gone.
const KNOWN: usize = 20;

impl<A: PrefectApi> Engine<A> {
    /// Verifies that the state belongs to the configured workspace. If that workspace has a new address, changes the
    /// state's address and returns a sentence for the user.
    pub(super) async fn recognise(&self, state: &mut State) -> Result<Option<String>, Error> {
        let (saved, configured) = (state.workspace().to_owned(), &self.workspace);
        if saved == *configured {
            return Ok(None);
        }
        let (mut there, mut missing) = (false, None);
        for (table, ids) in state.some_ids(KNOWN) {
            if strategies::request_by_ids(table, ids.clone()).is_none() {
                // This table has no look-up by id; other tables decide.
                continue;
            }
            match self.exists_any(table, ids).await {
                Ok(false) => there = true,
                Ok(true) => {
                    state.moved_to(configured);
                    return Ok(Some(messages::MOVED.format(format_args!(
                        "the workspace has a new address: {configured}, previously {saved}. Previously synced objects exist there, so the sync continues from the saved state"
                    ))));
                }
                // An older server may not have this table.
                Err(error @ prefect::Error::NotFound { .. }) => missing = Some(error),
                Err(source) => {
                    return Err(Error::Prefect {
                        table: table.name,
                        source,
                    });
                }
            }
        }
        Err(match missing {
            Some(error) if !there => Error::NothingThere(error),
            _ => Error::State(StateError::OtherWorkspace {
                saved,
                configured: configured.clone(),
            }),
        })
    }

    async fn exists_any(
        &self,
        table: &'static Table,
        mut ids: Vec<String>,
    ) -> Result<bool, prefect::Error> {
        let reader = PageReader::new(table, &self.context);
        let mut doubts_empty = true;
        let listed = loop {
            let Some(request) = strategies::request_by_ids(table, ids.clone()) else {
                return Ok(false);
            };
            match self.api.list(&request, |body| reader.read(body)).await {
                Err(prefect::Error::LimitTooLarge { max }) if max < request.limit => {
                    ids.truncate(max as usize);
                }
                listed => {
                    let listed = listed?;
                    let is_empty = listed.page.rows.is_empty();
                    if !(is_empty && std::mem::take(&mut doubts_empty)) {
                        break listed;
                    }
                }
            }
        };
        let mut found = listed.page.rows.iter();
        Ok(found.any(|row| ids.iter().any(|id| id == row.id())))
    }
}
