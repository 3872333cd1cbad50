//! Filters: a schema as data, read into a tree of tests, which any row can be put to.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    id::Id,
    model::{StateType, Time},
    reject::{Issue, Problem, Step},
    times,
    versions::{Capabilities, Dialect},
};

/// A column that can be filtered on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is Prefect's column of that name")]
pub enum Field {
    Id,
    Name,
    Tags,
    DeploymentId,
    FlowVersion,
    IdempotencyKey,
    WorkQueueName,
    StateType,
    StateName,
    StartTime,
    StartOrExpected,
    EndTime,
    ExpectedStartTime,
    NextScheduledStartTime,
    ParentTaskRunId,
    ParentFlowRunId,
    CreatedById,
    CreatedByType,
    Paused,
    ScheduleActive,
}

/// What a row has there.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the kinds of value a column can have")]
pub enum Cell<'a> {
    Id(Option<Id>),
    Text(Option<&'a str>),
    Tags(&'a [String]),
    Time(Option<Time>),
    Flag(bool),
}

/// A row that can be filtered.
pub trait Filtered {
    /// Its value in a column; a column it does not have reads as null.
    fn cell(&self, field: Field) -> Cell<'_>;
}

/// What a filter key takes.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    /// `any_`: ids.
    AnyIds,
    /// `not_any_`: ids.
    NotIds,
    /// `any_`: texts; for tags, one of them.
    AnyTexts,
    /// `not_any_`: texts.
    NotTexts,
    /// `all_`: tags.
    AllTexts,
    /// `any_`: state types.
    AnyStates,
    /// `not_any_`: state types.
    NotStates,
    /// `like_`: a part of the text, in any case.
    Like,
    /// `after_`: from this time on.
    After,
    /// `before_`: up to this time.
    Before,
    /// `is_null_`.
    IsNull,
    /// `eq_`.
    Eq,
    /// `operator`.
    Operator,
    /// An object of more keys.
    Group(&'static [Key]),
}

/// A filter key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The column it is about, for the keys inside it.
    pub field: Option<Field>,
    /// What it takes.
    pub arg: Arg,
}

/// A filter that was read.
#[derive(Debug, Clone)]
pub enum Clause {
    /// Every one must hold.
    All(Vec<Clause>),
    /// One must hold.
    Any(Vec<Clause>),
    /// The column must pass.
    Test(Field, Test),
}

/// A test of one column. Null passes none but `IsNull`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "named like the filter keys")]
pub enum Test {
    AnyIds(HashSet<Id>),
    NotIds(HashSet<Id>),
    AnyTexts(Vec<String>),
    NotTexts(Vec<String>),
    AllTexts(Vec<String>),
    Like(String),
    After(Time),
    Before(Time),
    IsNull(bool),
    Eq(bool),
}

impl Clause {
    /// Whether `row` passes.
    pub fn holds<R: Filtered>(&self, row: &R) -> bool {
        match self {
            Self::All(clauses) => clauses.iter().all(|clause| clause.holds(row)),
            // No condition at all is no restriction, whatever joins them.
            Self::Any(clauses) => {
                clauses.is_empty() || clauses.iter().any(|clause| clause.holds(row))
            }
            Self::Test(field, test) => test.passes(row.cell(*field)),
        }
    }

    /// The inclusive bounds that this filter certainly sets on a column of times.
    pub fn bounds(&self, wanted: Field) -> (Option<Time>, Option<Time>) {
        match self {
            Self::All(clauses) => clauses.iter().fold((None, None), |(low, high), clause| {
                let (from, to) = clause.bounds(wanted);
                // None is less than any time, so `max` is right for the lower bound only.
                (low.max(from), [high, to].into_iter().flatten().min())
            }),
            Self::Any(clauses) => match clauses.as_slice() {
                [only] => only.bounds(wanted),
                _ => (None, None),
            },
            Self::Test(field, Test::After(time)) if *field == wanted => (Some(*time), None),
            Self::Test(field, Test::Before(time)) if *field == wanted => (None, Some(*time)),
            Self::Test(..) => (None, None),
        }
    }

    /// Whether it lets everything pass.
    pub fn is_open(&self) -> bool {
        match self {
            Self::All(clauses) | Self::Any(clauses) => clauses.iter().all(Self::is_open),
            Self::Test(..) => false,
        }
    }
}

impl Test {
    fn passes(&self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Self::AnyIds(ids), Cell::Id(id)) => id.is_some_and(|id| ids.contains(&id)),
            (Self::NotIds(ids), Cell::Id(id)) => id.is_some_and(|id| !ids.contains(&id)),
            (Self::AnyTexts(texts), Cell::Text(text)) => {
                text.is_some_and(|text| texts.iter().any(|t| t == text))
            }
            (Self::NotTexts(texts), Cell::Text(text)) => {
                text.is_some_and(|text| texts.iter().all(|t| t != text))
            }
            (Self::AnyTexts(texts), Cell::Tags(tags)) => {
                texts.iter().any(|text| tags.contains(text))
            }
            (Self::AllTexts(texts), Cell::Tags(tags)) => {
                texts.iter().all(|text| tags.contains(text))
            }
            (Self::Like(part), Cell::Text(text)) => {
                text.is_some_and(|text| text.to_lowercase().contains(part))
            }
            (Self::After(bound), Cell::Time(time)) => time.is_some_and(|time| time >= *bound),
            (Self::Before(bound), Cell::Time(time)) => time.is_some_and(|time| time <= *bound),
            (Self::IsNull(null), Cell::Time(time)) => time.is_none() == *null,
            (Self::IsNull(null), Cell::Id(id)) => id.is_none() == *null,
            (Self::IsNull(null), Cell::Text(text)) => text.is_none() == *null,
            (Self::IsNull(null), Cell::Tags(tags)) => tags.is_empty() == *null,
            (Self::Eq(wanted), Cell::Flag(flag)) => *wanted == flag,
            _ => false,
        }
    }
}

/// Reads filters and notes what is wrong with them.
pub struct Reader<'a> {
    capabilities: &'a Capabilities,
    /// What was wrong.
    pub issues: Vec<Issue>,
}

impl<'a> Reader<'a> {
    /// A reader for one release.
    pub fn new(capabilities: &'a Capabilities) -> Self {
        Self {
            capabilities,
            issues: Vec::new(),
        }
    }

    /// Notes a problem.
    pub fn note(&mut self, problem: Problem, place: &[Step], input: &Value) {
        self.issues.push(Issue {
            problem,
            place: place.to_vec(),
            input: input.clone(),
        });
    }

    /// Reads an object of filter keys. `place` starts with `body`.
    pub fn group(
        &mut self,
        keys: &'static [Key],
        field: Option<Field>,
        value: &Value,
        place: &mut Vec<Step>,
    ) -> Clause {
        let mut clauses = Vec::new();
        let empty = Map::new();
        let object = match value {
            Value::Object(object) => object,
            Value::Null => &empty,
            // The old generation reads an empty list as an empty object.
            Value::Array(items)
                if items.is_empty() && self.capabilities.dialect == Dialect::Old =>
            {
                &empty
            }
            _ => {
                self.note(Problem::NotObject, place, value);
                &empty
            }
        };
        let mut any = false;
        for key in keys {
            let Some(value) = object.get(key.name).filter(|_| self.known(place, key.name)) else {
                continue;
            };
            place.push(Step::Key(key.name.to_owned()));
            match key.arg {
                Arg::Operator => any = self.word(value, &["and_", "or_"], place) == Some("or_"),
                _ if value.is_null() => {}
                Arg::Group(inner) => clauses.push(self.group(inner, key.field, value, place)),
                arg => {
                    if let (Some(test), Some(field)) =
                        (self.test(arg, value, place), key.field.or(field))
                    {
                        clauses.push(Clause::Test(self.looked_at(field, &test), test));
                    }
                }
            }
            place.pop();
        }
        for (name, value) in object {
            if !keys.iter().any(|key| key.name == name) || !self.known(place, name) {
                place.push(Step::Key(name.clone()));
                self.note(Problem::Extra, place, value);
                place.pop();
            }
        }
        if any {
            Clause::Any(clauses)
        } else {
            Clause::All(clauses)
        }
    }

    /// The column that a test really looks at: a range of start times also means runs that have not started.
    fn looked_at(&self, field: Field, test: &Test) -> Field {
        match (field, test) {
            (Field::StartTime, Test::After(_) | Test::Before(_))
                if self.capabilities.start_means_expected =>
            {
                Field::StartOrExpected
            }
            _ => field,
        }
    }

    fn known(&self, place: &[Step], name: &str) -> bool {
        let mut path = String::new();
        for step in place.iter().skip(1) {
            if let Step::Key(key) = step {
                path.push_str(key);
                path.push('.');
            }
        }
        path.push_str(name);
        self.capabilities.knows(&path)
    }

    fn test(&mut self, arg: Arg, value: &Value, place: &mut Vec<Step>) -> Option<Test> {
        match arg {
            Arg::AnyIds => self
                .list(value, place, Self::id)
                .map(|ids| Test::AnyIds(ids.into_iter().collect())),
            Arg::NotIds => self
                .list(value, place, Self::id)
                .map(|ids| Test::NotIds(ids.into_iter().collect())),
            Arg::AnyTexts => self.list(value, place, Self::text).map(Test::AnyTexts),
            Arg::NotTexts => self.list(value, place, Self::text).map(Test::NotTexts),
            Arg::AllTexts => self.list(value, place, Self::text).map(Test::AllTexts),
            Arg::AnyStates => self.list(value, place, Self::state).map(Test::AnyTexts),
            Arg::NotStates => self.list(value, place, Self::state).map(Test::NotTexts),
            Arg::Like => self
                .text(value, place)
                .map(|part| Test::Like(part.to_lowercase())),
            Arg::After => self.time(value, place).map(Test::After),
            Arg::Before => self.time(value, place).map(Test::Before),
            Arg::IsNull => self.flag(value, place).map(Test::IsNull),
            Arg::Eq => self.flag(value, place).map(Test::Eq),
            Arg::Operator | Arg::Group(_) => None,
        }
    }

    fn list<T>(
        &mut self,
        value: &Value,
        place: &mut Vec<Step>,
        item: impl Fn(&mut Self, &Value, &[Step]) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(values) = value.as_array() else {
            self.note(Problem::NotList, place, value);
            return None;
        };
        let mut items = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            place.push(Step::At(at));
            items.extend(item(self, value, place));
            place.pop();
        }
        Some(items)
    }

    fn noted<T>(
        &mut self,
        found: Option<T>,
        problem: Problem,
        place: &[Step],
        value: &Value,
    ) -> Option<T> {
        if found.is_none() {
            self.note(problem, place, value);
        }
        found
    }

    /// One of the allowed words; null reads as none given.
    pub fn word(
        &mut self,
        value: &Value,
        allowed: &[&'static str],
        place: &[Step],
    ) -> Option<&'static str> {
        if value.is_null() {
            return None;
        }
        let found = value
            .as_str()
            .and_then(|text| allowed.iter().find(|word| **word == text))
            .copied();
        self.noted(found, Problem::NotOneOf(allowed.to_vec()), place, value)
    }

    fn id(&mut self, value: &Value, place: &[Step]) -> Option<Id> {
        self.noted(
            value.as_str().and_then(Id::parse),
            Problem::NotId,
            place,
            value,
        )
    }

    fn text(&mut self, value: &Value, place: &[Step]) -> Option<String> {
        self.noted(
            value.as_str().map(str::to_owned),
            Problem::NotText,
            place,
            value,
        )
    }

    fn state(&mut self, value: &Value, place: &[Step]) -> Option<String> {
        self.word(value, &StateType::ALL.map(StateType::text), place)
            .map(str::to_owned)
    }

    fn time(&mut self, value: &Value, place: &[Step]) -> Option<Time> {
        let seconds = self.capabilities.dialect == Dialect::New;
        self.noted(times::parse(value, seconds), Problem::NotTime, place, value)
    }

    fn flag(&mut self, value: &Value, place: &[Step]) -> Option<bool> {
        let found = match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.to_lowercase().as_str() {
                "true" | "yes" | "on" | "y" | "t" | "1" => Some(true),
                "false" | "no" | "off" | "n" | "f" | "0" => Some(false),
                _ => None,
            },
            Value::Number(number) => match number.as_f64() {
                Some(1.0) => Some(true),
                Some(0.0) => Some(false),
                _ => None,
            },
            _ => None,
        };
        self.noted(found, Problem::NotFlag, place, value)
    }
}
