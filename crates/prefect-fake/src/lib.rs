//! An in-memory fake of Prefect's server, behind HTTP, for the demo and the tests. It needs no account.
//!
//! | module | content |
//! |---|---|
//! | [`model`], [`id`], [`times`] | the objects |
//! | [`table`] | rows by id and in the order of any column |
//! | [`store`], [`changes`] | a workspace with its clock, and the changes that it accepts |
//! | [`listing_spec`], [`schema`] | descriptions of listing requests as data: filter keys and sorts |
//! | [`form`], [`filter`], [`reader`], [`query`] | the parsed request, filters, pages |
//! | [`versions`], [`view`], [`error_response`] | the differences between releases: abilities, shapes, wording |
//! | [`tasks`] | task runs: their states, listing and shape |
//! | [`generic_collections`] | all other collections, as data: artifacts, variables, pools, limits, blocks, logs … |
//! | [`events`] | the listing of events, page by page |
//! | [`message`], [`auth`] | a request, a response, and the authentication of callers |
//! | [`handler`], [`router`] | turn a request into a response, without sockets |
//! | [`cloud`], [`limit`] | the differences of Prefect Cloud |
//! | [`http`], [`request_log`] | the same behind a socket: [`Server`], and a record of its requests |
//! | [`population`], [`full_workspace`] | a realistic workspace, generated from a seed |
//!
//! The store never reads the real time: [`Store::set_now`] and [`Store::advance`] move its clock, or the server follows
//! a [`Clock`](sync_clock::Clock). Everything else is determined by the seed.
//!
//! ```no_run
//! # use prefect_fake::{Options, Population, Server};
//! # use chrono::{DateTime, Utc};
//! # async fn example(now: DateTime<Utc>) -> Result<(), prefect_fake::Error> {
//! let server = Server::start(Options::new(Population::small(42, now))).await?;
//! println!("{}", server.url());
//! # Ok(())
//! # }
//! ```

pub mod auth;
pub mod changes;
pub mod cloud;
pub mod error_response;
pub mod events;
pub mod filter;
pub mod form;
pub mod full_workspace;
pub mod generic_collections;
pub mod handler;
pub mod hourly_activity;
pub mod http;
pub mod id;
pub mod limit;
pub mod listing_spec;
pub mod message;
pub mod model;
mod mutations;
mod names;
mod orchestration;
pub mod population;
pub mod query;
pub mod reader;
pub mod request_log;
pub mod router;
mod run_generator;
mod schedules;
pub mod schema;
mod service;
mod state_transitions;
pub mod store;
pub mod table;
pub mod tasks;
pub mod times;
pub mod versions;
pub mod view;
mod view_deployment;
mod writes;

#[cfg(test)]
mod tests;

pub use self::{
    auth::Auth,
    changes::{NewDeployment, NewRun, NewState, RunEdit},
    cloud::{Cloud, Profile},
    generic_collections::{GenericCollection, GenericObject},
    http::{Error, Interceptor, NoInterception, Options, Server},
    id::Id,
    limit::{RateLimit, RetryAfter},
    message::{ApiRequest, ApiResponse},
    population::Population,
    request_log::RequestLogEntry,
    schema::Collection,
    store::{Database, Settings, Store, StoreError, Ties},
    tasks::{NewTaskRun, TaskRun},
    versions::Capabilities,
};
