//! The HTML report that `debug` writes at the end of each run, with the run's events and its source.

use std::{collections::BTreeMap, sync::Arc};

use url::Url;

use super::report_charts;
use crate::{clock::SystemClock, tables};
use fivetran_runner::{
    self, Options, SyncOutcome,
    html_report::{self, ReportContents, TelemetrySource},
    timeline::{Route, Timeline},
};

/// The paths of requests that do not list a table, and the table to which they belong.
const MORE_ROUTES: [(&str, &str); 2] = [
    ("/version", "server_info"),
    ("/flow_run_states", "flow_run_state_history"),
];

/// The reason why an HTML report contains no requests.
const ELSEWHERE: &str = "The connector ran in another process and did not report its requests.";

/// The subject of an HTML report, created before the run begins.
pub(super) struct Report {
    /// The observer of the run.
    pub(super) timeline: Arc<Timeline>,
    subject: String,
    /// True if the connector runs in this process and publishes events.
    is_heard: bool,
}

impl Report {
    /// Creates the report of a run with this configuration.
    pub(super) fn new(configuration: &BTreeMap<String, String>, is_demo: bool) -> Self {
        let url = configuration.get("api_url").map_or("", String::as_str);
        Self::about(if is_demo {
            "the demo workspace (generated)".to_owned()
        } else {
            address(url)
        })
    }

    /// Creates the report of a run of another connector, which does not publish its requests.
    pub(super) fn of_another(connector: &str) -> Self {
        Self {
            is_heard: false,
            ..Self::about(format!("the connector {connector}"))
        }
    }

    fn about(subject: String) -> Self {
        Self {
            timeline: Arc::new(Timeline::new(Arc::new(SystemClock), routes())),
            subject,
            is_heard: true,
        }
    }

    /// Returns the source of the rows.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Writes the report of a run that failed after it began. A run that failed before it began leaves the last run's
    /// report unchanged.
    pub(super) fn broken_off(&self, options: &Options, error: &fivetran_runner::Error) {
        if self.timeline.seen().is_empty() {
            return;
        }
        let mut outcome = SyncOutcome {
            failure: Some(error.to_string()),
            warehouse: options.warehouse_file(),
            state: options.state_file(),
            ..SyncOutcome::default()
        };
        self.write(options, &mut outcome);
    }

    /// Writes the report, and stores its path in the outcome. A failure is only logged, since the run is complete.
    pub(super) fn write(&self, options: &Options, outcome: &mut SyncOutcome) {
        let seen = self.timeline.seen();
        if self.is_heard {
            outcome.asked = seen.tallies();
            outcome.setup_requests = seen.setup_requests();
        }
        let page = ReportContents {
            subject: &self.subject,
            began: seen.began(),
            outcome,
            heard: if self.is_heard {
                TelemetrySource::Everything(&seen)
            } else {
                TelemetrySource::Nothing(ELSEWHERE)
            },
            schema: &options.schema,
            charts: if self.is_heard {
                report_charts::CHARTS
            } else {
                &[]
            },
        };
        match html_report::write(&options.dir, &page) {
            Ok(path) => outcome.page = Some(path),
            Err(error) => tracing::warn!("no report was written for this run: {error}"),
        }
    }
}

/// Returns an address without the parts that may be secret.
fn address(url: &str) -> String {
    let Ok(mut url) = Url::parse(url.trim()) else {
        return "an invalid address".to_owned();
    };
    // Only an address without a host rejects this, and such an address has neither a user nor a password.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// Returns the tables of each path. Tables of one listing share its requests.
pub(super) fn routes() -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let more = MORE_ROUTES.into_iter();
    let all = tables::ALL.iter().map(|table| (table.endpoint, table.name));
    for (path, table) in all.chain(more) {
        match routes.iter_mut().find(|route| route.path == path) {
            Some(route) => route.tables.push(table),
            None => routes.push(Route {
                path,
                tables: vec![table],
            }),
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_no_secret() {
        let with = "https://user:hush@host:4200/api?token=hush#hush";
        assert_eq!(address(with), "https://host:4200/api");
        assert_eq!(address("hush"), "an invalid address");
    }

    #[test]
    fn every_table_has_a_route_and_those_of_one_listing_share_it() {
        let routes = routes();
        for table in tables::ALL {
            assert!(
                routes
                    .iter()
                    .any(|route| route.tables.contains(&table.name))
            );
        }
        let of = |path| routes.iter().find(|route| route.path == path);
        let runs = of("/task_runs").map(|route| route.tables.clone());
        assert_eq!(runs, Some(vec!["task_runs", "task_run_dependencies"]));
    }
}
