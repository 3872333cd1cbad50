//! The calls and syncs of an examination, in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::de::IgnoredAny;
use tokio_util::sync::CancellationToken;

use super::{
    Error, Options, Played, Report, Restart, Unchecked,
    book::{Book, Place},
    calls::{Ask, Ended, reach},
    judge::{About, Noise, Pending, judge, resent, spread},
    model::{Difference, Mark, Model},
    passive::{Examiner, Sync},
    rules::{self, Rule},
    schema::examine_form,
};
use crate::{
    driver::Client,
    form::{self, Redactor},
    state::FRESH,
    warehouse::tables_of,
};
use fivetran_proto::{
    ConfigurationFormRequest, ConfigurationFormResponse, TestRequest, schema_change::Change,
    schema_response, test_response::Response as Answer,
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
/// A running examination.
pub(super) struct Examination<'a> {
    /// The client; `None` only while the connector is restarted.
    pub(super) client: Option<Client>,
    pub(super) options: Options,
    pub(super) restart: Option<&'a dyn Restart>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cancel: CancellationToken,
    pub(super) examiner: Examiner,
    pub(super) syncs: Vec<Played>,
    pub(super) unchecked: Vec<Unchecked>,
    pub(super) pending: Vec<Pending>,
    pub(super) checkpoints: (usize, usize),
    pub(super) noise: Noise,
}

/// Runs the examination. For its contract see `super::run`.
pub(super) async fn examine(
    options: Options,
    left_out: BTreeSet<&'static str>,
    restart: Option<&dyn Restart>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> Result<Report, Error> {
    let connector = options.endpoint.clone();
    let examiner = Examiner {
        book: Book::without(left_out),
        message_limit: options.message_limit,
        ..Examiner::default()
    };
    let mut examination = Examination {
        client: Some(reach(&options.endpoint).await?),
        options,
        restart,
        clock,
        cancel,
        examiner,
        syncs: Vec::new(),
        unchecked: Vec::new(),
        pending: Vec::new(),
        checkpoints: (0, 0),
        noise: Noise::default(),
    };
    let incomplete = examination.all().await.err();
    let Examiner {
        book,
        catalogue,
        redactor,
        ..
    } = examination.examiner;
    Ok(Report {
        connector,
        incomplete,
        findings: book.list(),
        unchecked: examination.unchecked,
        syncs: examination.syncs,
        changed: examination.noise.told(&catalogue),
        checkpoints: examination.checkpoints,
        book,
        redactor,
    })
}

impl Examination<'_> {
    /// Runs all steps in order. The error is the reason why the examination could not continue.
    async fn all(&mut self) -> Result<(), String> {
        self.form().await?;
        let promise = self.schema().await?;
        let (whole, ended) = self.sync(Ask::from("full sync", Some(FRESH))).await?;
        if let Ended::Badly(how) = ended {
            return Err(format!("the full sync {how}"));
        }
        let should = whole.journal.rows(whole.journal.ops.len());
        self.rerun(&whole, &should).await?;
        self.select(promise, &should).await?;
        self.resume(&whole, &should).await?;
        self.start_over(&should).await?;
        let Examiner {
            book, catalogue, ..
        } = &mut self.examiner;
        for pending in &self.pending {
            judge(pending, &self.noise, catalogue, book);
        }
        Ok(())
    }

    /// Requests the form and runs its tests, with the configuration and without one.
    async fn form(&mut self) -> Result<(), String> {
        // Until the form is known, names that sound secret decide what is secret.
        self.examiner.redactor = Redactor::new(
            &ConfigurationFormResponse::default(),
            &self.options.configuration,
        );
        let mut client = self.client()?;
        let form = self
            .call(client.configuration_form(ConfigurationFormRequest {}))
            .await?
            .map_err(|why| format!("the setup form {why}"))?;
        examine_form(&form, &mut self.examiner.book);
        let configuration = form::complete(&form, &self.options.configuration);
        self.examiner.redactor = Redactor::new(&form, &configuration);
        self.options.configuration = configuration.clone();
        for test in &form.tests {
            if let Some(failure) = self.test(&test.name, &configuration).await? {
                let text = self.examiner.redactor.clean(&failure);
                return Err(format!("the setup test `{}` failed: {text}", test.name));
            }
            if !form.fields.is_empty() {
                self.test(&test.name, &BTreeMap::new()).await?;
            }
        }
        Ok(())
    }

    /// Runs a setup test. Returns the text of its failure.
    async fn test(
        &mut self,
        name: &str,
        configuration: &BTreeMap<String, String>,
    ) -> Result<Option<String>, String> {
        let request = TestRequest {
            name: name.to_owned(),
            configuration: configuration.clone().into_iter().collect(),
        };
        let mut client = self.client()?;
        let failure = match self.call(client.test(request)).await? {
            Ok(answer) => match answer.response {
                Some(Answer::Success(true)) => return Ok(None),
                Some(Answer::Failure(text)) => text,
                Some(Answer::Success(false)) | None => {
                    let text = "it returned neither a success nor a failure".to_owned();
                    self.unanswered(name, &text);
                    text
                }
            },
            Err(how) => {
                self.unanswered(name, &format!("it {how}"));
                how
            }
        };
        self.examiner
            .secret(Place::call("Test").column(name), "a failure", &failure);
        Ok(Some(failure))
    }

    fn unanswered(&mut self, name: &str, text: &str) {
        let place = Place::call("Test").column(name);
        self.examiner.book.add(&rules::TEST_UNANSWERED, place, text);
    }

    /// Requests the schema. Returns its statement about selections.
    async fn schema(&mut self) -> Result<Option<bool>, String> {
        let schema = self.ask_schema().await?;
        let list = match schema.response {
            Some(schema_response::Response::WithSchema(list)) => Change::WithSchema(list),
            Some(schema_response::Response::WithoutSchema(list)) => Change::WithoutSchema(list),
            Some(schema_response::Response::SchemaResponseNotSupported(_)) | None => {
                return Ok(schema.selection_not_supported);
            }
        };
        let Examiner { tables, book, .. } = &mut self.examiner;
        tables.declare(tables_of(list), &Place::call("Schema"), book);
        Ok(schema.selection_not_supported)
    }

    /// Runs a second sync, from the last checkpoint of the first one.
    async fn rerun(&mut self, whole: &Sync, should: &Model) -> Result<(), String> {
        if !self.wants(&RERUNNING) {
            return Ok(());
        }
        let Some(last) = whole.journal.marks.last().filter(|mark| is_json(mark)) else {
            self.leave(&RERUNNING, "the full sync left no JSON state to start from");
            return Ok(());
        };
        let name = "second sync";
        let (again, ended) = self.sync(Ask::from(name, Some(&last.state))).await?;
        if let Ended::Badly(how) = ended {
            self.examiner
                .book
                .add(&rules::RESUME_FAILS, Place::call(name), format!("it {how}"));
            return Ok(());
        }
        let mut rows = should.clone();
        rows.apply(&again.journal.ops);
        let differences = rows.differences(should);
        let Examiner {
            book, catalogue, ..
        } = &mut self.examiner;
        let expected = whole.journal.touched(last.ops);
        let (again, expected) = (&again.journal, &expected);
        resent(name, again, should, expected, &differences, catalogue, book);
        self.note(name, differences, About::Rerun);
        Ok(())
    }

    /// Resumes from checkpoints of the first sync, then from those of syncs that are really cut.
    async fn resume(&mut self, whole: &Sync, should: &Model) -> Result<(), String> {
        if !self.wants(&RESUMING) {
            return Ok(());
        }
        let marks = &whole.journal.marks;
        let Some(before_last) = marks.len().checked_sub(1).filter(|count| *count > 0) else {
            self.checkpoints = (marks.len(), 0);
            self.leave(&RESUMING, "there is no checkpoint before the last one");
            return Ok(());
        };
        if !marks[..before_last].iter().any(is_json) {
            self.leave(
                &RESUMING,
                "no checkpoint before the last one has a JSON state",
            );
            return Ok(());
        }
        if self.options.cuts == 0 {
            self.leave(&RESUMING, "not requested (--cuts 0)");
        }
        let chosen = spread(before_last, self.options.cuts);
        self.checkpoints = (marks.len(), chosen.len());
        for at in chosen.iter().copied().filter(|at| is_json(&marks[*at])) {
            let rows = whole.journal.rows(marks[at].ops);
            let name = format!("resumed from checkpoint {}", at + 1);
            self.resume_from(name, &marks[at], rows, should).await?;
        }
        for at in spread(before_last, self.options.cuts.min(REAL_CUTS)) {
            let name = format!("cut after checkpoint {}", at + 1);
            let ask = Ask {
                cut: Some(at + 1),
                ..Ask::from(&name, Some(FRESH))
            };
            let (cut, ended) = self.sync(ask).await?;
            if let Ended::Badly(how) = ended {
                let text = format!("it {how}");
                self.examiner
                    .book
                    .add(&rules::RESUME_FAILS, Place::call(&name), text);
                continue;
            }
            // The sync may have had fewer checkpoints this time.
            if let Some(mark) = cut.journal.marks.last().filter(|mark| is_json(mark)) {
                let rows = cut.journal.rows(mark.ops);
                let name = format!("resumed after the cut at {}", at + 1);
                self.resume_from(name, mark, rows, should).await?;
            }
        }
        Ok(())
    }

    async fn resume_from(
        &mut self,
        name: String,
        mark: &Mark,
        mut rows: Model,
        should: &Model,
    ) -> Result<(), String> {
        let (rest, ended) = self.sync(Ask::from(&name, Some(&mark.state))).await?;
        if let Ended::Badly(how) = ended {
            let text = format!("it {how}");
            self.examiner
                .book
                .add(&rules::RESUME_FAILS, Place::call(&name), text);
            return Ok(());
        }
        rows.apply(&rest.journal.ops);
        let about = About::Resumed(rest.journal.touched(0));
        self.note(&name, rows.differences(should), about);
        Ok(())
    }

    /// Runs a sync without a state at the very end, which also shows what changed during the examination.
    async fn start_over(&mut self, should: &Model) -> Result<(), String> {
        let name = "full sync without a state";
        let (sync, ended) = self.sync(Ask::from(name, None)).await?;
        let rows = sync.journal.rows(sync.journal.ops.len());
        let mut gone = should
            .filled()
            .into_keys()
            .filter(|table| rows.live(*table) == 0);
        let fault = match (ended, gone.next()) {
            (Ended::Badly(how), _) => Some((Place::call(name), format!("it {how}"))),
            (_, Some(table)) => {
                let table = self.examiner.catalogue.tables.get(table);
                let text = "none of its rows were sent, unlike with the state `{}`".to_owned();
                Some((Place::call(name).table(table), text))
            }
            _ => None,
        };
        let Some((place, text)) = fault else {
            self.noise = Noise::between(should, &rows);
            return Ok(());
        };
        self.examiner.book.add(&rules::STATE_ABSENT, place, text);
        let (sync, ended) = self.sync(Ask::from("last full sync", Some(FRESH))).await?;
        if let Ended::Badly(how) = ended {
            return Err(format!("the last full sync {how}"));
        }
        let rows = sync.journal.rows(sync.journal.ops.len());
        self.noise = Noise::between(should, &rows);
        Ok(())
    }

    pub(super) fn note(&mut self, sync: &str, differences: Vec<Difference>, about: About) {
        let sync = sync.to_owned();
        self.pending.push(Pending {
            sync,
            differences,
            about,
        });
    }

    pub(super) fn wants(&self, rules: &[&Rule]) -> bool {
        rules.iter().any(|rule| self.examiner.book.wants(rule))
    }

    pub(super) fn leave(&mut self, rules: &[&'static Rule], why: &str) {
        for rule in rules.iter().filter(|rule| self.examiner.book.wants(rule)) {
            self.unchecked.push(Unchecked {
                rule: rule.id,
                why: why.to_owned(),
            });
        }
    }
}

fn is_json(mark: &Mark) -> bool {
    serde_json::from_str::<IgnoredAny>(&mark.state).is_ok()
}
