//! What kind of failure an error is: decides who hears of it, and what happens next.

/// The class of an error; each module's error type tells its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// May pass by itself: retried inside first, then the sync ends with gRPC `UNAVAILABLE` and
    /// Fivetran starts the next one from the last checkpoint.
    Transient,
    /// The user must mend something: they read it as a `Task` in Fivetran's dashboard.
    UserMustAct,
    /// A fault of this connector: gRPC `INTERNAL`.
    Bug,
}
