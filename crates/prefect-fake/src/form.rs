//! Parses listing requests: a page, an order and filters.

use serde_json::Value;

use super::{
    error_response::{ErrorResponse, PathSegment, Problem},
    filter::Clause,
    listing_spec::{Column, Form, Sort},
    model::Time,
    reader::Reader,
    store::Settings,
    table::{Page, SortKey},
};

/// A parsed request.
#[derive(Debug)]
pub struct Request {
    limit: usize,
    offset: usize,
    sort: Sort,
    filters: Vec<(&'static str, Clause)>,
}

impl Request {
    /// Returns the filter of this name.
    pub fn clause(&self, name: &str) -> Option<&Clause> {
        let named = self.filters.iter().find(|(of, _)| *of == name);
        named.map(|(_, clause)| clause)
    }

    /// Returns the page; `own` is the name of the filter on the listed rows themselves.
    pub fn page(&self, own: &str, tie_seed: Option<u64>) -> Page<Column> {
        let bounds = self
            .clause(own)
            .zip(self.sort.column.field())
            .map(|(clause, field)| clause.bounds(field));
        let (from, to) = bounds.unwrap_or_default();
        let key = |time: Time| SortKey::Time(time.timestamp_micros());
        Page {
            column: self.sort.column,
            descending: self.sort.descending,
            from: from.map(key),
            to: to.map(key),
            offset: self.offset,
            limit: self.limit,
            tie_seed,
        }
    }
}

/// Returns the place of a key of the body.
pub(super) fn path(key: &str) -> Vec<PathSegment> {
    vec![
        PathSegment::Key("body".to_owned()),
        PathSegment::Key(key.to_owned()),
    ]
}

/// Parses a body; `paged` is true for a page and false for a count.
pub fn read(
    settings: &Settings,
    form: &Form,
    body: &Value,
    paged: bool,
) -> Result<Request, ErrorResponse> {
    let mut reader = Reader::new(&settings.capabilities);
    let empty = serde_json::Map::new();
    let object = match body {
        Value::Object(object) => object,
        Value::Null => &empty,
        _ => {
            reader.note(Problem::NotObject, &path("limit")[..1], body);
            &empty
        }
    };
    let most = i64::from(settings.page_limit);
    let said = |key: &str| object.get(key).filter(|_| paged);
    let limit = number(&mut reader, said("limit"), "limit").unwrap_or(most);
    let sort = sort(&mut reader, settings, form, said("sort"));
    let offset = number(&mut reader, said("offset"), "offset").unwrap_or(0);
    if offset < 0 {
        reader.note(
            Problem::Negative,
            &path("offset"),
            said("offset").unwrap_or(&Value::Null),
        );
    }
    let mut filters = Vec::new();
    for filter_object in form.filters {
        if let Some(value) = object
            .get(filter_object.name)
            .filter(|value| !value.is_null())
        {
            let clause = reader.group(
                filter_object.keys,
                None,
                value,
                &mut path(filter_object.name),
            );
            filters.push((filter_object.name, clause));
        }
    }
    // An invalid limit is reported alone, before all other errors.
    if limit > most {
        let text = format!("Invalid limit: must be less than or equal to {most}.");
        return Err(ErrorResponse::Detail(422, text));
    }
    if limit < 0 {
        let text = "Invalid limit: must be greater than or equal to 0.";
        return Err(ErrorResponse::Detail(422, text.to_owned()));
    }
    if !reader.issues.is_empty() {
        return Err(ErrorResponse::Invalid(reader.issues, body.clone()));
    }
    let there = |key: &&&str| object.get(**key).is_some_and(|value| !value.is_null());
    if let Some(key) = form.elsewhere.iter().find(there) {
        return Err(ErrorResponse::Detail(
            501,
            format!("this server cannot filter by {key}"),
        ));
    }
    let size = |number: i64| usize::try_from(number).unwrap_or(0);
    Ok(Request {
        limit: size(limit),
        offset: size(offset),
        sort,
        filters,
    })
}

fn number(reader: &mut Reader<'_>, value: Option<&Value>, key: &str) -> Option<i64> {
    value.and_then(|value| reader.number(value, &path(key)))
}

fn sort(reader: &mut Reader<'_>, settings: &Settings, form: &Form, value: Option<&Value>) -> Sort {
    let known = |sort: &&Sort| {
        settings
            .capabilities
            .knows(&format!("{}.sort.{}", form.name, sort.name))
    };
    let sorts: Vec<&Sort> = form.sorts.iter().filter(known).collect();
    let names: Vec<&'static str> = sorts.iter().map(|sort| sort.name).collect();
    let name = value
        .filter(|_| !sorts.is_empty())
        .and_then(|value| reader.word(value, &names, &path("sort")));
    let found = name.and_then(|name| sorts.iter().find(|sort| sort.name == name));
    found.map_or(form.order, |sort| **sort)
}
