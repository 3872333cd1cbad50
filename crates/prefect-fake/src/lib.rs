//! An in-memory fake of Prefect's server, behind HTTP, for the demo and the tests. It needs no account.
//!
//! | module | content |
//! |---|---|
//! | [`model`], [`id`], [`times`] | the objects |
//! | [`table`] | rows by id and in the order of any column |
//! | [`store`], [`changes`] | a workspace with its clock, and the changes that it accepts |
//! | [`listing_spec`], [`schema`] | descriptions of listing requests as data: filter keys and sorts |
//! | [`form`], [`filter`], [`reader`], [`query`] | the parsed request, filters, pages |
//! | [`versions`], [`view`], [`reject`] | the differences between releases: abilities, shapes, wording |
//! | [`tasks`] | task runs: their states, listing and shape |
//! | [`plain`] | all other collections, as data: artifacts, variables, pools, limits, blocks, logs … |
//! | [`events`] | the listing of events, page by page |
//! | [`message`], [`auth`] | a request, a response, and the authentication of callers |
//! | [`front`], [`routes`] | turn a request into a response, without sockets |
//! | [`cloud`], [`limit`] | the differences of Prefect Cloud |
//! | [`http`], [`record`] | the same behind a socket: [`Server`], and a record of its requests |
//! | [`population`], [`everything`] | a realistic workspace, generated from a seed |
//!
//! The store never reads the real time: [`Store::set_now`] and [`Store::advance`] move its clock, or the server follows
//! a [`Clock`](sync_clock::Clock). Everything else is determined by the seed.
//!
//! ```no_run
//! # use prefect_fake::{Options, Population, Server};
//! # use chrono::{DateTime, Utc};
//! # async fn example(now: DateTime<Utc>) -> Result<(), prefect_fake::Error> {
//! let server = Server::start(Options::of(Population::small(42, now))).await?;
//! println!("{}", server.url());
//! # Ok(())
//! # }
//! ```

pub mod auth;
pub mod changes;
pub mod cloud;
pub mod events;
pub mod everything;
pub mod filter;
pub mod form;
pub mod front;
pub mod http;
pub mod id;
mod life;
pub mod limit;
pub mod listing_spec;
mod lives;
pub mod message;
pub mod model;
mod mutations;
mod names;
mod orchestration;
pub mod plain;
pub mod population;
pub mod query;
pub mod reader;
pub mod record;
pub mod reject;
pub mod routes;
mod schedules;
pub mod schema;
mod service;
pub mod store;
pub mod story;
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
    http::{Error, Interceptor, NoInterception, Options, Server},
    id::Id,
    limit::{RateLimit, RetryAfter},
    message::{ApiRequest, ApiResponse},
    plain::{Plain, PlainCollection},
    population::Population,
    record::Recorded,
    schema::Collection,
    store::{Database, Settings, Store, StoreError, Ties},
    tasks::{NewTaskRun, TaskRun},
    versions::Capabilities,
};
