//! Syncs with selections.

use super::{
    finding_log::FindingLocation,
    judge::SyncPurpose,
    model::{Kind, Model},
    passive::StreamChecker,
    rules::{self, Rule},
    schema::Tables,
    select::{self, ExpectedSelection, Filled},
    session::{Session, StreamEnd, SyncRequest},
};
use crate::state::FRESH;
use fivetran_proto::Selection;

/// The rules about selections.
const SELECTING: [&Rule; 6] = [
    &rules::SELECTION_IGNORED_TABLE,
    &rules::SELECTION_IGNORED_COLUMN,
    &rules::SELECTION_NEW_TABLE,
    &rules::SELECTION_NEW_COLUMN,
    &rules::SELECTION_DIFFERS,
    &rules::SELECTION_UNSTATED,
];

/// Runs two syncs with selections.
pub(super) async fn try_selections(
    session: &mut Session<'_>,
    promise: Option<bool>,
    should: &Model,
) -> Result<(), String> {
    if !session.wants(&SELECTING) {
        return Ok(());
    }
    if promise == Some(true) {
        session.leave_unchecked(
            &SELECTING,
            "the connector declares that it does not support a selection",
        );
        return Ok(());
    }
    let filled = filled_tables(session, should);
    if filled.is_empty() {
        session.leave_unchecked(&SELECTING, "no table of the schema had rows");
        return Ok(());
    }
    if filled.len() == 1 {
        let tables = [&rules::SELECTION_IGNORED_TABLE, &rules::SELECTION_NEW_TABLE];
        session.leave_unchecked(&tables, "only one table had rows");
    }
    let tables = session.checker.tables.clone();
    let (selection, mut expected) = select::by_name(&tables, &filled);
    if promise.is_none() {
        // The connector promised nothing, so no rule is broken, but the behaviour is reported.
        expected.rules = None;
    }
    let is_honoured = sync_selected(
        session,
        "sync with a selection",
        selection,
        expected,
        &tables,
        should,
    )
    .await?;
    if !is_honoured {
        return Ok(());
    }
    let (selection, expected) = select::by_silence(&tables, &filled);
    sync_selected(
        session,
        "sync with a short selection",
        selection,
        expected,
        &tables,
        should,
    )
    .await?;
    Ok(())
}

/// Runs a sync with a selection. Returns true if the connector honoured it.
async fn sync_selected(
    session: &mut Session<'_>,
    name: &str,
    selection: Selection,
    expected: ExpectedSelection,
    tables: &Tables,
    should: &Model,
) -> Result<bool, String> {
    let request = SyncRequest {
        selection: Some(selection),
        expected,
        ..SyncRequest::from(name, Some(FRESH))
    };
    let (sync, ended) = session.sync(request).await?;
    if let StreamEnd::Failed(how) = ended {
        let text = format!("it {how}");
        session.checker.finding_log.add(
            &rules::SELECTION_DIFFERS,
            FindingLocation::call(name),
            text,
        );
        return Ok(false);
    }
    let rows = sync.journal.rows(sync.journal.ops.len());
    let catalogue = &session.checker.catalogue;
    if sync.expected.rules.is_none() {
        let sent = rows.filled().into_iter().any(|(table, columns)| {
            let id = catalogue.tables.get(table);
            let mut names = columns.iter().map(|column| catalogue.columns.get(*column));
            !sync.expected.has_table(id) || names.any(|name| !sync.expected.has_column(id, name))
        });
        if sent {
            let text = "deselected tables or columns were sent";
            let place = FindingLocation::call(name);
            session
                .checker
                .finding_log
                .add(&rules::SELECTION_UNSTATED, place, text);
            return Ok(false);
        }
    }
    let mut differences = rows.differences(should);
    // Undeclared tables and columns could not be selected either.
    differences.retain(|difference| {
        let id = catalogue.tables.get(difference.table);
        let Some(declared) = tables.tables.get(id) else {
            return false;
        };
        let is_wanted = match difference.kind {
            Kind::Column(column) => {
                let name = catalogue.columns.get(column);
                declared.columns.contains_key(name) && sync.expected.has_column(id, name)
            }
            // Without a key of its own, a row with a column less is another row.
            Kind::Missing | Kind::Extra => !declared.key.is_empty() || !sync.expected.cuts(id),
        };
        sync.expected.has_table(id) && is_wanted
    });
    let is_honoured = !session.checker.finding_log.has(&SELECTING[..2]);
    if is_honoured {
        session.note(name, differences, SyncPurpose::Selected);
    }
    Ok(is_honoured)
}

/// The declared tables with rows, each with its columns that can be deselected.
fn filled_tables(session: &Session<'_>, should: &Model) -> Vec<Filled> {
    let StreamChecker {
        catalogue, tables, ..
    } = &session.checker;
    let mut filled: Vec<Filled> = Vec::new();
    for (table, columns) in should.filled() {
        let id = catalogue.tables.get(table);
        let Some(declared) = tables.tables.get(id) else {
            continue;
        };
        let names = declared.columns.iter().filter(|(_, column)| !column.key);
        let names = names.filter(|(name, _)| {
            let number = catalogue.columns.find(name);
            number.is_some_and(|number| columns.contains(&number))
        });
        filled.push((id.clone(), names.map(|(name, _)| name.clone()).collect()));
    }
    filled.sort();
    filled
}
