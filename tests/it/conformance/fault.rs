//! The faults of the small connector.

/// The fault or weakness of the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    FieldWithoutType,
    SecretShown,
    TestEndsInStatus,
    ReservedColumn,
    TableTwice,
    CamelCase,
    SqlWord,
    TimeOfDay,
    NoKey,
    KeyOrderChanges,
    KeyRepeated,
    LargeBatch,
    LargeMessage,
    EmptyMessage,
    TwoTasks,
    TruncateLater,
    TableNotDeclared,
    ColumnNotDeclared,
    ColumnsDifferInCase,
    ColumnNeverSent,
    NullKey,
    NumberAsString,
    BrokenJson,
    DateWithTime,
    ColumnLeftOut,
    UpdateOfNothing,
    NoCheckpoint,
    StateIsNoJson,
    RowsAtTheEnd,
    SlowCheckpoints,
    FrequentCheckpoints,
    StateAhead,
    FailsOnResume,
    OtherValuesOnResume,
    NothingWithoutState,
    ChangesWhenRunAgain,
    OverlapsWhenRunAgain,
    AllWhenRunAgain,
    TableDespiteSelection,
    ColumnDespiteSelection,
    NewTableDespiteSelection,
    NewColumnDespiteSelection,
    FewerRowsWithSelection,
    SelectionIgnoredSilently,
    SecretInState,
    /// Values that differ at each read are not a fault.
    VolatileValues,
    TableGone,
    ColumnGone,
    TypeNarrower,
    KeyLonger,
    FieldRequired,
    FieldGone,
    OldStateRejected,
    OldStateMisread,
    /// An added column, an added optional field and a wider type, which are allowed.
    Additions,
}

impl Fault {
    /// Returns true if the connector marks its states with a version.
    pub(super) fn has_versioned_states(self) -> bool {
        matches!(self, Self::OldStateRejected | Self::OldStateMisread)
    }
}
