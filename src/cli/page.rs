//! The page that `debug` writes at the end of each run: what the connector says meanwhile, and whose it is.

use std::{collections::BTreeMap, sync::Arc};

use url::Url;

use super::first_look;
use crate::{
    clock::SystemClock,
    debug::{
        self, Options, Outcome,
        page::{self, Heard, Page},
        timeline::{Route, Timeline},
    },
    tables,
};

/// Requests that are no listing of a table, and the table that they are for all the same.
const MORE_ROUTES: [(&str, &str); 2] = [
    ("/version", "server_info"),
    ("/flow_run_states", "flow_run_state_history"),
];

/// Why a page has no requests.
const ELSEWHERE: &str = "The connector ran elsewhere, and told nothing of its requests.";

/// What the page is about; made before the run begins.
pub(super) struct Report {
    /// Listens to the run.
    pub(super) timeline: Arc<Timeline>,
    subject: String,
    /// The connector runs here, and tells what it does.
    is_heard: bool,
}

impl Report {
    /// Of a run with this configuration.
    pub(super) fn new(configuration: &BTreeMap<String, String>, is_demo: bool) -> Self {
        let url = configuration.get("api_url").map_or("", String::as_str);
        Self::about(if is_demo {
            "the demo workspace (made up)".to_owned()
        } else {
            address(url)
        })
    }

    /// Of a run of another connector, which tells nothing of its requests.
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

    /// Where the rows come from.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// The outcome of a run that broke off after it had begun: it has a page, too. What did not even begin leaves
    /// the page of the last run as it is.
    pub(super) fn broken_off(&self, options: &Options, error: &debug::Error) {
        if self.timeline.seen().is_empty() {
            return;
        }
        let mut outcome = Outcome {
            failure: Some(error.to_string()),
            warehouse: options.warehouse_file(),
            state: options.state_file(),
            ..Outcome::default()
        };
        self.write(options, &mut outcome);
    }

    /// Writes the page, and puts its place into the outcome. A run is no worse without it: what is wrong is told.
    pub(super) fn write(&self, options: &Options, outcome: &mut Outcome) {
        let seen = self.timeline.seen();
        if self.is_heard {
            outcome.asked = seen.tallies();
        }
        let page = Page {
            subject: &self.subject,
            began: seen.began(),
            outcome,
            heard: if self.is_heard {
                Heard::Everything(&seen)
            } else {
                Heard::Nothing(ELSEWHERE)
            },
            schema: &options.schema,
            charts: if self.is_heard {
                first_look::CHARTS
            } else {
                &[]
            },
        };
        match page::write(&options.dir, &page) {
            Ok(path) => outcome.page = Some(path),
            Err(error) => tracing::warn!("there is no page of this run: {error}"),
        }
    }
}

/// An address without what may be secret in one.
fn address(url: &str) -> String {
    let Ok(mut url) = Url::parse(url.trim()) else {
        return "an address that cannot be read".to_owned();
    };
    // Only an address without a host refuses that, and such a one has neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// Which tables' requests go where: tables of one listing share them.
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
        assert_eq!(address("hush"), "an address that cannot be read");
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
