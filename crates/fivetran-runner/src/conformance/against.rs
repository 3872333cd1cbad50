//! Syncs of an old version of the connector, which the examined version continues.

use std::{
    collections::{BTreeMap, HashSet},
    mem,
};

use super::{
    compatibility::{Comparable, comparable_column, compare_forms, compare_schemas, is_comparable},
    finding_log::{FindingLocation, FindingLog},
    judge::{SourceChanges, SyncPurpose, spread},
    model::{Catalogue, CheckpointPosition, Kind, Model, ModelDifference},
    passive::{StreamChecker, Sync},
    restart::Restart,
    rules::{self, Rule},
    schema::Tables,
    session::{Session, StreamEnd, SyncRequest, is_json, reach},
};
use crate::{form, state::FRESH};
use fivetran_proto::{ConfigurationFormRequest, ConfigurationFormResponse};

/// The rules about the schema.
const SCHEMAS: [&Rule; 4] = [
    &rules::UPGRADE_TABLE_REMOVED,
    &rules::UPGRADE_COLUMN_REMOVED,
    &rules::UPGRADE_TYPE_CHANGED,
    &rules::UPGRADE_KEY_CHANGED,
];
/// The rules about the old version's states.
const STATES: [&Rule; 3] = [
    &rules::UPGRADE_RESUME_FAILS,
    &rules::UPGRADE_DIFFERS,
    &rules::UPGRADE_COLUMN_EMPTY,
];

/// An old version of the connector, which runs beside the new one.
pub struct OldVersion<'a> {
    /// The address at which it listens.
    pub endpoint: String,
    /// The means to restart it for each sync.
    pub restart: Option<&'a dyn Restart>,
}

/// The facts about the new version.
pub(super) struct NewVersion<'a> {
    /// The values that the user gave, without defaults.
    pub(super) answers: &'a BTreeMap<String, String>,
    pub(super) form: &'a ConfigurationFormResponse,
    /// The rows of its full sync.
    pub(super) should: &'a Model,
}

/// A saved state of the old version, with the rows that were sent before it.
struct SavedState {
    name: String,
    state: String,
    rows: Model,
}

/// Compares the versions, and resumes the old version's states with the new one.
pub(super) async fn compare(
    session: &mut Session<'_>,
    old: &OldVersion<'_>,
    new: NewVersion<'_>,
) -> Result<(), String> {
    if !session.wants(&rules::UPGRADES) {
        return Ok(());
    }
    let mut other = old_session(session, old, new.answers).await?;
    let result = examine_old(&mut other, session, &new).await;
    // Both versions' rows are compared, so their tables and columns have the same numbers.
    session.checker.catalogue = mem::take(&mut other.checker.catalogue);
    session.syncs.append(&mut other.syncs);
    let states = result?;
    if !session.wants(&STATES) {
        return Ok(());
    }
    if states.is_empty() {
        session.leave_unchecked(&STATES, "the old version saved no JSON state");
        return Ok(());
    }
    let stored = other.options.configuration;
    let own = mem::replace(&mut session.options.configuration, stored);
    let should = if own == session.options.configuration {
        new.should.clone()
    } else {
        whole_rows(session).await?
    };
    let old_tables = other.checker.tables;
    for state in states {
        resume(session, &old_tables, state, &should).await?;
    }
    session.options.configuration = own;
    Ok(())
}

/// Creates the session of the old version, whose own findings do not matter.
async fn old_session<'a>(
    session: &mut Session<'_>,
    old: &OldVersion<'a>,
    answers: &BTreeMap<String, String>,
) -> Result<Session<'a>, String> {
    let connection = reach(&old.endpoint).await;
    let connection = connection.map_err(|error| format!("the old version: {error}"))?;
    let mut options = session.options.clone();
    options.endpoint.clone_from(&old.endpoint);
    options.configuration = answers.clone();
    let all = rules::ALL.iter().map(|rule| rule.id);
    Ok(Session {
        connection: Some(connection),
        restart: old.restart,
        clock: session.clock.clone(),
        cancel: session.cancel.clone(),
        checker: StreamChecker {
            finding_log: FindingLog::without(all.collect()),
            catalogue: mem::take(&mut session.checker.catalogue),
            message_limit: options.message_limit,
            redactor: form::redactor_by_names(answers),
            ..StreamChecker::default()
        },
        options,
        syncs: Vec::new(),
        unchecked: Vec::new(),
        pending: Vec::new(),
        checkpoints: (0, 0),
        source_changes: SourceChanges::default(),
    })
}

/// Requests the old version's form and schema, and runs two syncs. Returns the states to resume.
async fn examine_old(
    other: &mut Session<'_>,
    session: &mut Session<'_>,
    new: &NewVersion<'_>,
) -> Result<Vec<SavedState>, String> {
    let mut client = other.client()?;
    let old_form = other
        .call(client.configuration_form(ConfigurationFormRequest {}))
        .await?
        .map_err(|why| format!("the setup form of the old version {why}"))?;
    let stored = form::complete(&old_form, new.answers);
    other.checker.redactor = form::redactor(&old_form, &stored);
    let finding_log = &mut session.checker.finding_log;
    compare_forms(&old_form, new.form, new.answers, &stored, finding_log);
    other.options.configuration = stored;
    other
        .declare_schema()
        .await
        .map_err(|why| format!("the old version: {why}"))?;
    let whole = old_sync(other, "full sync of the old version", FRESH).await?;
    let mut states = saved_states(session, &whole);
    if let Some(last) = whole
        .journal
        .checkpoints
        .last()
        .filter(|mark| is_json(mark))
    {
        let again = old_sync(other, "second sync of the old version", &last.state).await?;
        let mut rows = whole.journal.rows(whole.journal.ops.len());
        if let Some(mark) = again
            .journal
            .checkpoints
            .last()
            .filter(|mark| is_json(mark))
        {
            rows.apply(&again.journal.ops[..mark.ops]);
            let name = "the second sync".to_owned();
            let state = mark.state.clone();
            states.push(SavedState { name, state, rows });
        }
    }
    let StreamChecker {
        tables,
        finding_log,
        ..
    } = &mut session.checker;
    let old_tables = &other.checker.tables;
    if old_tables.is_known && tables.is_known {
        compare_schemas(old_tables, tables, finding_log);
    } else {
        session.leave_unchecked(&SCHEMAS, "only a connector with a schema can be compared");
    }
    Ok(states)
}

async fn old_sync(other: &mut Session<'_>, name: &str, state: &str) -> Result<Sync, String> {
    match other.sync(SyncRequest::from(name, Some(state))).await? {
        (_, StreamEnd::Failed(how)) => Err(format!("the {name} {how}")),
        (sync, _) => Ok(sync),
    }
}

/// The states of the old version's full sync: the last one, and others that are spread evenly.
fn saved_states(session: &Session<'_>, whole: &Sync) -> Vec<SavedState> {
    let checkpoints = &whole.journal.checkpoints;
    let Some(last) = checkpoints.len().checked_sub(1) else {
        return Vec::new();
    };
    let mut chosen = spread(last, session.options.cuts.saturating_sub(1));
    chosen.push(last);
    let saved = |at: usize| {
        let mark: &CheckpointPosition = checkpoints.get(at)?;
        is_json(mark).then(|| SavedState {
            name: format!("checkpoint {}", at + 1),
            state: mark.state.clone(),
            rows: whole.journal.rows(mark.ops),
        })
    };
    chosen.into_iter().filter_map(saved).collect()
}

/// The rows of a full sync with the configuration of the old version.
async fn whole_rows(session: &mut Session<'_>) -> Result<Model, String> {
    let name = "full sync as configured before";
    match session.sync(SyncRequest::from(name, Some(FRESH))).await? {
        (_, StreamEnd::Failed(how)) => Err(format!("the {name} {how}")),
        (sync, _) => Ok(sync.journal.rows(sync.journal.ops.len())),
    }
}

/// Resumes a state of the old version with the new one.
async fn resume(
    session: &mut Session<'_>,
    old: &Tables,
    saved: SavedState,
    should: &Model,
) -> Result<(), String> {
    let SavedState {
        name,
        state,
        mut rows,
    } = saved;
    let name = format!("upgraded after {name}");
    let (rest, ended) = session.sync(SyncRequest::from(&name, Some(&state))).await?;
    if let StreamEnd::Failed(how) = ended {
        let place = FindingLocation::call(&name);
        let finding_log = &mut session.checker.finding_log;
        finding_log.add(&rules::UPGRADE_RESUME_FAILS, place, format!("it {how}"));
        return Ok(());
    }
    rows.apply(&rest.journal.ops);
    let mut differences = rows.differences(should);
    let StreamChecker {
        catalogue, tables, ..
    } = &session.checker;
    let added = remove_incomparable(&mut differences, old, tables, catalogue);
    let sent = rest.journal.affected(0);
    session.note(&name, differences, SyncPurpose::Upgraded { sent, added });
    Ok(())
}

/// Removes differences that the comparison of the schemas covers. Returns the tables' new columns.
fn remove_incomparable(
    differences: &mut Vec<ModelDifference>,
    old: &Tables,
    new: &Tables,
    catalogue: &Catalogue,
) -> HashSet<(usize, usize)> {
    let mut added = HashSet::new();
    differences.retain(|difference| {
        let table = catalogue.tables.get(difference.table);
        let comparable = match difference.kind {
            _ if !is_comparable(old, new, table) => Comparable::No,
            Kind::Column(column) => {
                let name = catalogue.columns.get(column);
                let comparable = comparable_column(old, new, table, name);
                if comparable == Comparable::Added {
                    added.insert((difference.table, column));
                }
                comparable
            }
            Kind::Missing | Kind::Extra => Comparable::Yes,
        };
        comparable != Comparable::No
    });
    added
}
