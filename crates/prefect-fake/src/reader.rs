//! Parses filters of requests by the rules of one release, and collects the errors.

use serde_json::{Map, Value};

use super::{
    error_response::{Issue, PathSegment, Problem},
    filter::{Arg, Clause, Field, Key, Test},
    id::Id,
    model::{StateType, Time},
    times,
    versions::{Capabilities, Dialect},
};

/// A parser of filters that collects their errors.
pub struct Reader<'a> {
    capabilities: &'a Capabilities,
    /// The errors found so far.
    pub issues: Vec<Issue>,
}

impl<'a> Reader<'a> {
    /// Creates a parser for one release.
    pub fn new(capabilities: &'a Capabilities) -> Self {
        Self {
            capabilities,
            issues: Vec::new(),
        }
    }

    /// Records a problem.
    pub fn note(&mut self, problem: Problem, place: &[PathSegment], input: &Value) {
        self.issues.push(Issue {
            problem,
            place: place.to_vec(),
            input: input.clone(),
        });
    }

    /// Parses an object of filter keys. `place` starts with `body`.
    pub fn group(
        &mut self,
        keys: &'static [Key],
        field: Option<Field>,
        value: &Value,
        place: &mut Vec<PathSegment>,
    ) -> Clause {
        let mut clauses = Vec::new();
        let empty = Map::new();
        let object = match value {
            Value::Object(object) => object,
            Value::Null => &empty,
            // The old generation accepts an empty list as an empty object.
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
            place.push(PathSegment::Key(key.name.to_owned()));
            match key.arg {
                Arg::Operator => any = self.word(value, &["and_", "or_"], place) == Some("or_"),
                Arg::Word(words) => {
                    self.word(value, words, place);
                }
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
                place.push(PathSegment::Key(name.clone()));
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

    /// Returns the column that a test applies to: a range of start times includes runs that have not started.
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

    fn known(&self, place: &[PathSegment], name: &str) -> bool {
        let mut path = String::new();
        for step in place.iter().skip(1) {
            if let PathSegment::Key(key) = step {
                path.push_str(key);
                path.push('.');
            }
        }
        path.push_str(name);
        self.capabilities.knows(&path)
    }

    fn test(&mut self, arg: Arg, value: &Value, place: &mut Vec<PathSegment>) -> Option<Test> {
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
            Arg::Exists => self.flag(value, place).map(|there| Test::IsNull(!there)),
            Arg::AtLeast => self.number(value, place).map(Test::AtLeast),
            Arg::AtMost => self.number(value, place).map(Test::AtMost),
            Arg::StartsWith => self.list(value, place, Self::lower).map(Test::StartsWith),
            Arg::Prefixes => self.list(value, place, Self::text).map(Test::Prefixes),
            Arg::NotPrefixes => self.list(value, place, Self::text).map(Test::NotPrefixes),
            Arg::AnyWords(words) => self.words(value, words, place).map(Test::AnyTexts),
            Arg::NotWords(words) => self.words(value, words, place).map(Test::NotTexts),
            Arg::Eq => self.flag(value, place).map(Test::Eq),
            Arg::Operator | Arg::Word(_) | Arg::Group(_) => None,
        }
    }

    fn list<T>(
        &mut self,
        value: &Value,
        place: &mut Vec<PathSegment>,
        item: impl Fn(&mut Self, &Value, &[PathSegment]) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(values) = value.as_array() else {
            self.note(Problem::NotList, place, value);
            return None;
        };
        let mut items = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            place.push(PathSegment::At(at));
            items.extend(item(self, value, place));
            place.pop();
        }
        Some(items)
    }

    fn noted<T>(
        &mut self,
        found: Option<T>,
        problem: Problem,
        place: &[PathSegment],
        value: &Value,
    ) -> Option<T> {
        if found.is_none() {
            self.note(problem, place, value);
        }
        found
    }

    /// Parses one of the allowed words; null reads as absent.
    pub fn word(
        &mut self,
        value: &Value,
        allowed: &[&'static str],
        place: &[PathSegment],
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

    fn id(&mut self, value: &Value, place: &[PathSegment]) -> Option<Id> {
        self.noted(
            value.as_str().and_then(Id::parse),
            Problem::NotId,
            place,
            value,
        )
    }

    fn text(&mut self, value: &Value, place: &[PathSegment]) -> Option<String> {
        self.noted(
            value.as_str().map(str::to_owned),
            Problem::NotText,
            place,
            value,
        )
    }

    fn lower(&mut self, value: &Value, place: &[PathSegment]) -> Option<String> {
        self.text(value, place).map(|text| text.to_lowercase())
    }

    fn words(
        &mut self,
        value: &Value,
        allowed: &'static [&'static str],
        place: &mut Vec<PathSegment>,
    ) -> Option<Vec<String>> {
        self.list(value, place, |reader, value, place| {
            reader.word(value, allowed, place).map(str::to_owned)
        })
    }

    /// Parses an integer, in the spellings that each generation accepts.
    pub fn number(&mut self, value: &Value, place: &[PathSegment]) -> Option<i64> {
        let problem = match value {
            Value::Null => return None,
            Value::Bool(flag) => return Some(i64::from(*flag)),
            Value::String(text) => match text.trim().parse() {
                Ok(number) => return Some(number),
                Err(_) => Problem::NotInteger,
            },
            Value::Number(number) => match number.as_i64() {
                Some(number) => return Some(number),
                // The old generation truncates a fraction to the text before the point; the new one accepts only `.0`.
                None => match number
                    .to_string()
                    .split_once('.')
                    .map(|(whole, rest)| (whole.parse(), rest))
                {
                    Some((Ok(whole), rest))
                        if self.capabilities.dialect == Dialect::Old || rest == "0" =>
                    {
                        return Some(whole);
                    }
                    _ => Problem::Fraction,
                },
            },
            _ => Problem::NotNumber,
        };
        self.note(problem, place, value);
        None
    }

    fn state(&mut self, value: &Value, place: &[PathSegment]) -> Option<String> {
        self.word(value, &StateType::ALL.map(StateType::text), place)
            .map(str::to_owned)
    }

    fn time(&mut self, value: &Value, place: &[PathSegment]) -> Option<Time> {
        let seconds = self.capabilities.dialect == Dialect::New;
        self.noted(times::parse(value, seconds), Problem::NotTime, place, value)
    }

    fn flag(&mut self, value: &Value, place: &[PathSegment]) -> Option<bool> {
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
