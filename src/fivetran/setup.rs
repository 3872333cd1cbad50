//! The setup tests: what Fivetran runs when the user saves the form.

use super::proto;
use crate::{
    config,
    prefect::{Collection, Error, Filter, ListRequest, PrefectApi},
    rows::{Context, PageReader},
    tables::{self, Strategy, Table},
};

/// The oldest server whose answers the tables were checked against.
const OLDEST: (u32, u32) = (2, 20);

/// Runs the test called `name`; the text of a failure is for the user.
pub(super) async fn run(name: &str, api: &impl PrefectApi) -> Result<(), String> {
    if name == config::CONNECTION_TEST.name {
        connection(api).await
    } else if name == config::ACCESS_TEST.name {
        access(api).await
    } else {
        Err(format!(
            "test `{}` is not known; this connector has {} and {}",
            name.escape_debug(),
            config::CONNECTION_TEST.name,
            config::ACCESS_TEST.name
        ))
    }
}

/// The answer to `Test`.
pub(super) fn response(result: Result<(), String>) -> proto::TestResponse {
    proto::TestResponse {
        response: Some(match result {
            Ok(()) => proto::test_response::Response::Success(true),
            Err(text) => proto::test_response::Response::Failure(text),
        }),
    }
}

/// Whether a Prefect API answers, and is new enough.
async fn connection(api: &impl PrefectApi) -> Result<(), String> {
    match api.version().await.map_err(|error| said(&error))? {
        Some(version) => match major_minor(&version) {
            Some(found) if found < OLDEST => Err(format!(
                "the server is Prefect {version}; this connector reads Prefect {}.{} and later. Upgrade the server",
                OLDEST.0, OLDEST.1
            )),
            _ => Ok(()),
        },
        // Prefect Cloud does not tell its version: a small listing shows that it answers.
        None => match tables::ALL.first() {
            Some(table) => read_one(api, table).await.map_err(|error| said(&error)),
            None => Ok(()),
        },
    }
}

fn said(error: &Error) -> String {
    error.message().say(error)
}

/// Whether each table can be read.
async fn access(api: &impl PrefectApi) -> Result<(), String> {
    for table in tables::ALL {
        read_one(api, table)
            .await
            .map_err(|error| format!("table {}: {}", table.name, said(&error)))?;
    }
    Ok(())
}

async fn read_one(api: &impl PrefectApi, table: &'static Table) -> Result<(), Error> {
    let request = ListRequest {
        collection: Collection(table.endpoint),
        sort: match table.strategy {
            Strategy::Snapshot { sort } | Strategy::NewestFirst { sort } => sort,
            Strategy::Runs => "EXPECTED_START_TIME_DESC",
        },
        limit: 1,
        offset: 0,
        filter: Filter::default(),
    };
    let reader = PageReader::new(table, &Context::default());
    api.list(&request, |body| reader.read(body))
        .await
        .map(|_| ())
}

/// The first two numbers of a version such as `2.20.26` or `3.0.0rc1`.
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
        assert!(major_minor("2.20.26").expect("a version") >= OLDEST);
        assert!(major_minor("3.0.0rc1").expect("a version") >= OLDEST);
        assert_eq!(major_minor("unknown"), None);
    }
}
