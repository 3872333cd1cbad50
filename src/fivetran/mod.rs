//! The protocol face: the four calls of Fivetran's `SourceConnector` service.

pub mod proto;
