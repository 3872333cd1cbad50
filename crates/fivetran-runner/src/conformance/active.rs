//! The calls and syncs of a test run, in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{
    against::{self, NewVersion, OldVersion},
    finding_log::{FindingLocation, FindingLog},
    judge::{SourceChanges, SyncPurpose, report_unexplained, resent, spread},
    model::{CheckpointPosition, Model},
    options::{Error, Options},
    passive::{StreamChecker, Sync},
    repeats::report_repeats,
    report::Report,
    restart::Restart,
    rules::{self, Rule},
    selecting::try_selections,
    session::{Session, StreamEnd, SyncRequest, is_json, reach},
    setup_form::examine_form,
};
use crate::{form, state::FRESH};
use fivetran_proto::{
    ConfigurationFormRequest, ConfigurationFormResponse, TestRequest,
    test_response::Response as TestResponse,
};
use sync_clock::Clock;

/// The number of resumed syncs that are really cut before.
const REAL_CUTS: usize = 3;
/// The rules about resuming.
const RESUMING: [&Rule; 3] = [
    &rules::CHECKPOINT_AHEAD,
    &rules::RESUME_FAILS,
    &rules::RESUME_DIFFERS,
];
/// The rules about a second sync.
const RERUNNING: [&Rule; 3] = [
    &rules::RERUN_NOT_IDEMPOTENT,
    &rules::RERUN_RESENDS,
    &rules::FULL_REFRESH,
];

/// Runs all test cases. For the contract see `super::run`.
pub(super) async fn examine(
    options: Options,
    left_out: BTreeSet<&'static str>,
    restart: Option<&dyn Restart>,
    old: Option<&OldVersion<'_>>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<Report, Error> {
    let connector = options.endpoint.clone();
    if let Some(old) = old {
        // An old version that cannot be reached is an error before the long syncs.
        reach(&old.endpoint).await?;
    }
    let checker = StreamChecker {
        finding_log: FindingLog::without(left_out),
        message_limit: options.message_limit,
        ..StreamChecker::default()
    };
    let mut session = Session {
        connection: Some(reach(&options.endpoint).await?),
        options,
        restart,
        clock,
        cancel,
        checker,
        syncs: Vec::new(),
        unchecked: Vec::new(),
        pending: Vec::new(),
        checkpoints: (0, 0),
        source_changes: SourceChanges::default(),
    };
    let incomplete = run_steps(&mut session, old).await.err();
    let StreamChecker {
        mut finding_log,
        catalogue,
        redactor,
        sent,
        ..
    } = session.checker;
    sent.report(&mut finding_log);
    Ok(Report {
        connector,
        against: old.map(|old| old.endpoint.clone()),
        incomplete,
        findings: finding_log.list(),
        unused_waivers: Vec::new(),
        unchecked: session.unchecked,
        syncs: session.syncs,
        changed: session.source_changes.changes(&catalogue),
        checkpoints: session.checkpoints,
        finding_log,
        redactor,
    })
}

/// Runs all steps in order. The error is the reason why the test run could not continue.
async fn run_steps(session: &mut Session<'_>, old: Option<&OldVersion<'_>>) -> Result<(), String> {
    let answers = session.options.configuration.clone();
    let form = check_form(session).await?;
    let promise = session.declare_schema().await?;
    let (whole, ended) = session
        .sync(SyncRequest::from("full sync", Some(FRESH)))
        .await?;
    if let StreamEnd::Failed(how) = ended {
        return Err(format!("the full sync {how}"));
    }
    let should = whole.journal.rows(whole.journal.ops.len());
    sync_again(session, &whole, &should).await?;
    try_selections(session, promise, &should).await?;
    resume(session, &whole, &should).await?;
    if let Some(old) = old {
        let new = NewVersion {
            answers: &answers,
            form: &form,
            should: &should,
        };
        against::compare(session, old, new).await?;
    }
    let last = start_over(session, &should).await?;
    let StreamChecker {
        finding_log,
        catalogue,
        ..
    } = &mut session.checker;
    let (name, first, last) = (&whole.name, &whole.journal, &last.journal);
    report_repeats(name, first, last, catalogue, finding_log);
    for pending in &session.pending {
        report_unexplained(pending, &session.source_changes, catalogue, finding_log);
    }
    Ok(())
}

/// Requests the form and runs its tests, with the configuration and without one.
async fn check_form(session: &mut Session<'_>) -> Result<ConfigurationFormResponse, String> {
    // Until the form is known, names that sound secret decide what is secret.
    session.checker.redactor = form::redactor_by_names(&session.options.configuration);
    let mut client = session.client()?;
    let form = session
        .call(client.configuration_form(ConfigurationFormRequest {}))
        .await?
        .map_err(|why| format!("the setup form {why}"))?;
    examine_form(&form, &mut session.checker.finding_log);
    let configuration = form::complete(&form, &session.options.configuration);
    session.checker.redactor = form::redactor(&form, &configuration);
    session.options.configuration = configuration.clone();
    for test in &form.tests {
        if let Some(failure) = run_setup_test(session, &test.name, &configuration).await? {
            let text = session.checker.redactor.clean(&failure).into_owned();
            return Err(format!("the setup test `{}` failed: {text}", test.name));
        }
        if !form.fields.is_empty() {
            run_setup_test(session, &test.name, &BTreeMap::new()).await?;
        }
    }
    Ok(form)
}

/// Runs a setup test. Returns the text of its failure.
async fn run_setup_test(
    session: &mut Session<'_>,
    name: &str,
    configuration: &BTreeMap<String, String>,
) -> Result<Option<String>, String> {
    let request = TestRequest {
        name: name.to_owned(),
        configuration: configuration.clone().into_iter().collect(),
    };
    let mut client = session.client()?;
    let failure = match session.call(client.test(request)).await? {
        Ok(response) => match response.response {
            Some(TestResponse::Success(true)) => return Ok(None),
            Some(TestResponse::Failure(text)) => text,
            Some(TestResponse::Success(false)) | None => {
                let text = "it returned neither a success nor a failure".to_owned();
                add_unanswered(session, name, &text);
                text
            }
        },
        Err(how) => {
            add_unanswered(session, name, &format!("it {how}"));
            how
        }
    };
    session.checker.secret(
        FindingLocation::call("Test").column(name),
        "a failure",
        &failure,
    );
    Ok(Some(failure))
}

fn add_unanswered(session: &mut Session<'_>, name: &str, text: &str) {
    let place = FindingLocation::call("Test").column(name);
    session
        .checker
        .finding_log
        .add(&rules::TEST_UNANSWERED, place, text);
}

/// Runs a second sync, from the last checkpoint of the first one.
async fn sync_again(session: &mut Session<'_>, whole: &Sync, should: &Model) -> Result<(), String> {
    if !session.wants(&RERUNNING) {
        return Ok(());
    }
    let Some(last) = whole
        .journal
        .checkpoints
        .last()
        .filter(|mark| is_json(mark))
    else {
        session.leave_unchecked(&RERUNNING, "the full sync left no JSON state to start from");
        return Ok(());
    };
    let name = "second sync";
    let (again, ended) = session
        .sync(SyncRequest::from(name, Some(&last.state)))
        .await?;
    if let StreamEnd::Failed(how) = ended {
        session.checker.finding_log.add(
            &rules::RESUME_FAILS,
            FindingLocation::call(name),
            format!("it {how}"),
        );
        return Ok(());
    }
    let mut rows = should.clone();
    rows.apply(&again.journal.ops);
    let differences = rows.differences(should);
    let StreamChecker {
        finding_log,
        catalogue,
        ..
    } = &mut session.checker;
    let expected = whole.journal.affected(last.ops);
    let (again, expected) = (&again.journal, &expected);
    resent(
        name,
        again,
        should,
        expected,
        &differences,
        catalogue,
        finding_log,
    );
    session.note(name, differences, SyncPurpose::Rerun);
    Ok(())
}

/// Resumes from checkpoints of the first sync, then from those of syncs that are really cut.
async fn resume(session: &mut Session<'_>, whole: &Sync, should: &Model) -> Result<(), String> {
    if !session.wants(&RESUMING) {
        return Ok(());
    }
    let checkpoints = &whole.journal.checkpoints;
    let Some(before_last) = checkpoints.len().checked_sub(1).filter(|count| *count > 0) else {
        session.checkpoints = (checkpoints.len(), 0);
        session.leave_unchecked(&RESUMING, "there is no checkpoint before the last one");
        return Ok(());
    };
    if !checkpoints[..before_last].iter().any(is_json) {
        session.leave_unchecked(
            &RESUMING,
            "no checkpoint before the last one has a JSON state",
        );
        return Ok(());
    }
    if session.options.cuts == 0 {
        session.leave_unchecked(&RESUMING, "not requested (--cuts 0)");
    }
    let chosen = spread(before_last, session.options.cuts);
    session.checkpoints = (checkpoints.len(), chosen.len());
    for at in chosen
        .iter()
        .copied()
        .filter(|at| is_json(&checkpoints[*at]))
    {
        let rows = whole.journal.rows(checkpoints[at].ops);
        let name = format!("resumed from checkpoint {}", at + 1);
        resume_from(session, name, &checkpoints[at], rows, should).await?;
    }
    for at in spread(before_last, session.options.cuts.min(REAL_CUTS)) {
        let name = format!("cut after checkpoint {}", at + 1);
        let request = SyncRequest {
            cut: Some(at + 1),
            ..SyncRequest::from(&name, Some(FRESH))
        };
        let (cut, ended) = session.sync(request).await?;
        if let StreamEnd::Failed(how) = ended {
            let text = format!("it {how}");
            session.checker.finding_log.add(
                &rules::RESUME_FAILS,
                FindingLocation::call(&name),
                text,
            );
            continue;
        }
        // The sync may have had fewer checkpoints this time.
        if let Some(mark) = cut.journal.checkpoints.last().filter(|mark| is_json(mark)) {
            let rows = cut.journal.rows(mark.ops);
            let name = format!("resumed after the cut at {}", at + 1);
            resume_from(session, name, mark, rows, should).await?;
        }
    }
    Ok(())
}

async fn resume_from(
    session: &mut Session<'_>,
    name: String,
    mark: &CheckpointPosition,
    mut rows: Model,
    should: &Model,
) -> Result<(), String> {
    let (rest, ended) = session
        .sync(SyncRequest::from(&name, Some(&mark.state)))
        .await?;
    if let StreamEnd::Failed(how) = ended {
        let text = format!("it {how}");
        session
            .checker
            .finding_log
            .add(&rules::RESUME_FAILS, FindingLocation::call(&name), text);
        return Ok(());
    }
    rows.apply(&rest.journal.ops);
    let about = SyncPurpose::Resumed(rest.journal.affected(0));
    session.note(&name, rows.differences(should), about);
    Ok(())
}

/// Runs a sync without a state at the very end, which also shows what changed during the test run.
/// Returns the last full sync.
async fn start_over(session: &mut Session<'_>, should: &Model) -> Result<Sync, String> {
    let name = "full sync without a state";
    let (sync, ended) = session.sync(SyncRequest::from(name, None)).await?;
    let rows = sync.journal.rows(sync.journal.ops.len());
    let mut gone = should
        .filled()
        .into_keys()
        .filter(|table| rows.live(*table) == 0);
    let fault = match (ended, gone.next()) {
        (StreamEnd::Failed(how), _) => Some((FindingLocation::call(name), format!("it {how}"))),
        (_, Some(table)) => {
            let table = session.checker.catalogue.tables.get(table);
            let text = "none of its rows were sent, unlike with the state `{}`".to_owned();
            Some((FindingLocation::call(name).table(table), text))
        }
        _ => None,
    };
    let Some((place, text)) = fault else {
        session.source_changes = SourceChanges::between(should, &rows);
        return Ok(sync);
    };
    session
        .checker
        .finding_log
        .add(&rules::STATE_ABSENT, place, text);
    let (sync, ended) = session
        .sync(SyncRequest::from("last full sync", Some(FRESH)))
        .await?;
    if let StreamEnd::Failed(how) = ended {
        return Err(format!("the last full sync {how}"));
    }
    let rows = sync.journal.rows(sync.journal.ops.len());
    session.source_changes = SourceChanges::between(should, &rows);
    Ok(sync)
}
