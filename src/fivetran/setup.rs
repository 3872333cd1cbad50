//! The setup tests, which Fivetran runs when the user saves the form.

use std::{collections::BTreeMap, sync::Arc};

use super::proto;
use crate::{
    config,
    prefect::{Collection, Error, EventsPage, EventsRequest, ListRequest, PrefectApi, UserFilter},
    rows::{Context, PageReader},
    tables::{self, Events, Feed, Listing, Strategy, Table},
};

/// The oldest version of the server with whose responses the tables were checked.
const OLDEST: (u32, u32) = (2, 20);

/// The offsets at which a listing is read if the server fails on its first object.
const OTHER_PLACES: [u64; 5] = [1, 2, 4, 8, 16];

/// Runs the test called `name`. The error is a text for the user.
pub(super) async fn run(
    name: &str,
    api: &impl PrefectApi,
    tables: &[&'static Table],
    scopes: &BTreeMap<&'static str, Arc<UserFilter>>,
) -> Result<(), String> {
    let tests = [
        config::CONNECTION_TEST,
        config::ACCESS_TEST,
        config::FILTER_TEST,
    ];
    let name_of = |test: &config::SetupTest| test.name;
    if name == config::CONNECTION_TEST.name {
        connection(api).await
    } else if name == config::ACCESS_TEST.name {
        access(api, tables).await
    } else if name == config::FILTER_TEST.name {
        filter(api, tables, scopes).await
    } else {
        Err(format!(
            "test `{}` is not known; this connector has {}",
            name.escape_debug(),
            tests.each_ref().map(name_of).join(", ")
        ))
    }
}

/// Returns the response to `Test`.
pub(super) fn response(result: Result<(), String>) -> proto::TestResponse {
    proto::TestResponse {
        response: Some(match result {
            Ok(()) => proto::test_response::Response::Success(true),
            Err(text) => proto::test_response::Response::Failure(text),
        }),
    }
}

/// Tests that a Prefect API responds and is new enough.
async fn connection(api: &impl PrefectApi) -> Result<(), String> {
    match api.version().await.map_err(|error| said(&error))? {
        Some(version) => match major_minor(&version) {
            Some(found) if found < OLDEST => Err(format!(
                "the server is Prefect {version}; this connector reads Prefect {}.{} and later. Upgrade the server",
                OLDEST.0, OLDEST.1
            )),
            _ => Ok(()),
        },
        // Prefect Cloud does not return its version; a small listing shows that it responds.
        None => match tables::ALL.first() {
            Some(table) => read_one(api, table, None)
                .await
                .map_err(|error| said(&error)),
            None => Ok(()),
        },
    }
}

fn said(error: &Error) -> String {
    error.message().format(error)
}

/// Tests that the tables can be read. A table that not every release has, or that is forbidden although the first
/// one is not, does not fail the test: a sync skips such a table, and the user may deselect it.
async fn access(api: &impl PrefectApi, tables: &[&'static Table]) -> Result<(), String> {
    for (at, table) in tables.iter().enumerate() {
        match read_one(api, table, None).await {
            Ok(()) => {}
            Err(Error::Forbidden { .. }) if at > 0 => {}
            Err(Error::NotFound { .. }) if !table.releases.is_empty() => {}
            Err(error) => return Err(format!("table {}: {}", table.name, said(&error))),
        }
    }
    Ok(())
}

/// Tests that the server accepts the user's filter.
async fn filter(
    api: &impl PrefectApi,
    tables: &[&'static Table],
    scopes: &BTreeMap<&'static str, Arc<UserFilter>>,
) -> Result<(), String> {
    for table in tables {
        if let Some(scope) = scopes.get(table.name) {
            let read = read_one(api, table, Some(Arc::clone(scope))).await;
            read.map_err(|error| match error {
                Error::Filter { .. } => said(&error),
                error => format!(
                    "configuration field `filter`: table {}: {}",
                    table.name,
                    said(&error)
                ),
            })?;
        }
    }
    Ok(())
}

/// Requests one object of a table. Tables without a listing of their own pass without a request.
async fn read_one(
    api: &impl PrefectApi,
    table: &'static Table,
    scope: Option<Arc<UserFilter>>,
) -> Result<(), Error> {
    let sort = match table.strategy {
        Strategy::Snapshot(Listing { each: Some(_), .. })
        | Strategy::Nested(_)
        | Strategy::Server => {
            return Ok(());
        }
        Strategy::AppendOnly(Feed::Events(Events {
            names,
            exclude,
            fallback,
            ..
        })) => {
            return match read_events(api, names, exclude).await {
                // A sync then reads the table in another way.
                Err(Error::NotFound { .. }) if fallback.is_some() => Ok(()),
                read => read,
            };
        }
        Strategy::AppendOnly(Feed::Logs) => Some("TIMESTAMP_DESC"),
        Strategy::Snapshot(listing) => listing.sort,
        Strategy::NewestFirst { sort, .. } => Some(sort),
        Strategy::Runs => Some("EXPECTED_START_TIME_DESC"),
    };
    let request = ListRequest {
        collection: Collection(table.endpoint),
        sort,
        limit: 1,
        scope,
        ..ListRequest::default()
    };
    let reader = PageReader::new(table, &Context::default());
    let listed = api.list(&request, |body| reader.read(body)).await;
    match listed {
        Ok(_) => Ok(()),
        Err(error @ Error::Server { status: 500, .. }) => {
            read_another(api, &reader, &request, error).await
        }
        Err(error) => Err(error),
    }
}

/// Requests objects after the first one, for which the server returned `error`. A sync reads around such objects.
async fn read_another(
    api: &impl PrefectApi,
    reader: &PageReader,
    first: &ListRequest,
    error: Error,
) -> Result<(), Error> {
    for offset in OTHER_PLACES {
        let request = ListRequest {
            offset,
            ..first.clone()
        };
        match api.list_once(&request, |body| reader.read(body)).await {
            Ok(_) => {
                let endpoint = first.collection.0;
                tracing::warn!(
                    "the server fails (500) on the first object of {endpoint}, but not on others: a sync skips such objects and reports their number"
                );
                return Ok(());
            }
            Err(Error::Server { status: 500, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(error)
}

async fn read_events(
    api: &impl PrefectApi,
    names: &'static [&'static str],
    exclude: &'static [&'static str],
) -> Result<(), Error> {
    let request = EventsRequest {
        since: None,
        until: None,
        names,
        exclude,
        limit: 1,
        token: None,
    };
    let read = |body: String| EventsPage::read(&body).map(|_| ());
    api.events(&request, read).await.map(|_| ())
}

/// Returns the first two numbers of a version such as `2.20.27` or `3.0.0rc1`.
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(major_minor("2.9.0").expect("a version") < OLDEST);
        assert!(major_minor("2.20.27").expect("a version") >= OLDEST);
        assert!(major_minor("3.0.0rc1").expect("a version") >= OLDEST);
        assert_eq!(major_minor("unknown"), None);
    }
}
