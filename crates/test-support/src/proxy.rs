//! An HTTP proxy with rules: it records requests, counts them, holds them, and changes responses.
//!
//! A test can thereby stop a client at a known moment, between two chosen requests, without looking at a clock.

use std::{
    os::fd::AsFd as _,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    message::Message,
    transport::{Action, Policy, edited, forward},
};

/// Returns true for the requests to which a rule applies.
type Condition = Box<dyn Fn(&Message, u64) -> bool + Send + Sync>;

/// The requests to which a rule applies, and their treatment.
pub struct Rule {
    applies: Condition,
    action: Action,
}

impl Rule {
    /// Creates a rule for the requests for which this function returns true. It receives the request and its number
    /// since the rules were set, from 1.
    pub fn new(
        applies: impl Fn(&Message, u64) -> bool + Send + Sync + 'static,
        action: Action,
    ) -> Self {
        let applies = Box::new(applies);
        Self { applies, action }
    }

    fn for_all(action: Action) -> Self {
        Self::new(|_, _| true, action)
    }

    /// Removes a header from every response.
    pub fn without_header(name: &'static str) -> Self {
        Self::for_all(Action::Change(edited(move |it| it.without(name))))
    }

    /// Moves the `Date` of every response ahead by this time. For a client that uses the server's clock, this time has
    /// passed.
    pub fn dates_ahead(by: TimeDelta) -> Self {
        let later = move |response: Message| {
            let date = response.header("date").expect("a Date header");
            let date: DateTime<Utc> = httpdate::parse_http_date(date).unwrap().into();
            let later = httpdate::fmt_http_date((date + by).into());
            response.without("date").with("date", &later)
        };
        Self::for_all(Action::Change(edited(later)))
    }

    /// Holds back the request with this number and all later ones.
    pub fn hold_from(number: u64) -> Self {
        Self::new(move |_, at| at >= number, Action::Hold)
    }
}

/// A request, with the duration of its response.
#[derive(Debug)]
pub struct Exchange {
    /// The path below the API's root: `/flow_runs/filter`.
    pub path: String,
    /// The request's body.
    pub request_body: Value,
    /// The time from sending the request on to the end of the response.
    pub took: Duration,
}

/// A running proxy; dropping it ends the proxy.
pub struct HttpProxy {
    url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    server: String,
    state: Mutex<State>,
    /// True once a request was held under the present rules.
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    requests: u64,
    exchanges: Vec<Exchange>,
}

impl HttpProxy {
    /// Starts a proxy in front of `http://HOST:PORT/PATH` that lets all requests pass.
    pub async fn start(server_url: &str) -> Self {
        let (server, path) = server_and_path(server_url);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{path}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            state: Mutex::default(),
            held: watch::Sender::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            url,
            shared,
            _tasks: tasks,
        }
    }

    /// Returns the server's URL through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Replaces the rules, and restarts the numbers of requests. The first rule that applies decides; a request without
    /// a rule passes.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = Rule>) {
        let mut state = self.shared.state();
        state.rules = rules.into_iter().collect();
        state.requests = 0;
        self.shared.held.send_replace(false);
    }

    /// Returns the number of requests since the rules were set.
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// Completes when a request is held.
    pub async fn held(&self) {
        let mut held = self.shared.held.subscribe();
        held.wait_for(|held| *held).await.unwrap();
    }

    /// Returns the requests since the last call, in the order of their responses.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.shared.state().exchanges)
    }
}

/// Returns the parts of `http://HOST:PORT/PATH`: `HOST:PORT` and `PATH`.
pub fn server_and_path(url: &str) -> (&str, &str) {
    let address = url.strip_prefix("http://").unwrap();
    address.split_once('/').unwrap()
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Policy for Shared {
    async fn request(&self, request: &Message) -> Action {
        let mut state = self.state();
        state.requests += 1;
        let number = state.requests;
        let mut rules = state.rules.iter();
        let rule = rules.find(|rule| (rule.applies)(request, number));
        let action = rule.map_or(Action::Pass, |rule| rule.action.clone());
        if matches!(action, Action::Hold) {
            self.held.send_replace(true);
        }
        action
    }

    fn response(&self, request: &Message, _: &mut Message, took: Duration) {
        self.state().exchanges.push(Exchange {
            path: request.path().to_owned(),
            request_body: serde_json::from_slice(&request.body).unwrap_or_default(),
            took,
        });
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, Arc::clone(&shared)));
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>) {
    client.set_nodelay(true).unwrap();
    let socket = client.as_fd().try_clone_to_owned().unwrap();
    forward(client, &socket, &*shared.server, &*shared).await;
}
