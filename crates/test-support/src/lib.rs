//! Parts that several kinds of tests share. The package does not depend on the connector, so that the connector's own
//! unit tests can use it, too.
//!
//! | module | content |
//! |---|---|
//! | [`client`] | a sync as Fivetran requests it |
//! | [`destination`] | rows and state in memory, as a destination of Fivetran keeps them |
//! | [`proxy`] | an HTTP proxy with rules, in front of a server |
//! | [`transport`] | one connection through a proxy |
//! | [`message`] | a request or a response |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on fails, and says where"
)]

pub mod client;
pub mod destination;
pub mod message;
pub mod proxy;
pub mod transport;

pub use self::{
    client::{select, selection_of, sync, sync_until},
    destination::{Destination, DestinationDifference, Disagreement, Key, Row, Stored, records},
    message::Message,
    proxy::{Exchange, HttpProxy, Rule},
    transport::{Action, Change, Step, edited},
};
