//! The classes of errors. A class decides who is notified of an error, and what happens next.

/// The class of an error. Each module's error type returns its own class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// A temporary failure. The connector retries first; then the sync ends with gRPC `UNAVAILABLE` and
    /// Fivetran starts the next sync from the last checkpoint.
    Transient,
    /// A failure that the user must fix. Fivetran's dashboard shows it as a `Task`.
    UserMustAct,
    /// A bug in this connector. The sync ends with gRPC `INTERNAL`.
    Bug,
}
