//! Prefect's semantics in memory, behind HTTP: a workspace that needs no account, and the tests' Prefect.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`], [`id`], [`times`] | the objects |
//! | [`table`] | rows by id and in the order of any column |
//! | [`store`], [`changes`] | a workspace with its clock, and what can be done to it |
//! | [`schema`], [`filter`], [`reader`], [`query`] | the reading side: filter keys and sorts as data, filters, pages |
//! | [`versions`], [`view`], [`reject`] | what differs between releases: abilities, shapes, wording |
//! | [`form`] | what a request for a listing may say, and what it says |
//! | [`tasks`] | task runs: their lives, listing and shape |
//! | [`plain`] | all other collections, as data: artifacts, variables, pools, limits, blocks, logs … |
//! | [`events`] | the feed of events, page by page |
//! | [`front`], [`routes`] | a request becomes an answer, without sockets |
//! | [`cloud`], [`limit`] | what is different at Prefect Cloud |
//! | [`http`], [`record`] | the same behind a socket: [`Server`]; what it was asked |
//! | [`population`], [`everything`] | a realistic workspace from a seed |
//!
//! The store knows no real time: [`Store::set_now`] and [`Store::advance`] move its clock, or the server
//! follows a [`Clock`](crate::clock::Clock). Everything else follows from the seed.
//!
//! ```no_run
//! # use fivetran_source::demo::{Options, Population, Server};
//! # use chrono::{DateTime, Utc};
//! # async fn example(now: DateTime<Utc>) -> Result<(), fivetran_source::demo::Error> {
//! let server = Server::start(Options::of(Population::small(42, now))).await?;
//! println!("{}", server.url());
//! # Ok(())
//! # }
//! ```

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
mod lives;
pub mod model;
mod mutations;
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
mod words;
mod writes;

#[cfg(test)]
mod tests;

pub use self::{
    changes::{NewDeployment, NewRun, NewState, RunEdit},
    cloud::{Cloud, Profile},
    front::{Answer, Asked, Auth},
    http::{Bystander, Error, Meddler, Options, Server},
    id::Id,
    limit::{RateLimit, RetryAfter},
    plain::{Plain, PlainCollection},
    population::Population,
    record::Recorded,
    schema::Collection,
    store::{Database, Settings, Store, StoreError, Ties},
    tasks::{NewTaskRun, TaskRun},
    versions::Capabilities,
};
