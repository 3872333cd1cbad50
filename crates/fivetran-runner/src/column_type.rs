//! The types of columns in the warehouse, and the type that holds the values of two others.

use super::decimal::Decimal;
use fivetran_proto::{Column, DataType, data_type_params::Params, value_type::Inner};

/// The most digits that a decimal column of the warehouse holds.
const MAX_PRECISION: u8 = 38;

/// The type of a column in the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    Boolean,
    SmallInt,
    Integer,
    BigInt,
    Decimal { precision: u8, scale: u8 },
    Float,
    Double,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Blob,
    Varchar,
    Json,
}

impl ColumnType {
    /// The type that a column is declared with, or `None` if its values decide.
    pub(super) fn declared(column: &Column) -> Option<Self> {
        Some(match column.r#type() {
            DataType::Unspecified => return None,
            DataType::Boolean => Self::Boolean,
            DataType::Short => Self::SmallInt,
            DataType::Int => Self::Integer,
            DataType::Long => Self::BigInt,
            DataType::Float => Self::Float,
            DataType::Double => Self::Double,
            DataType::NaiveDate => Self::Date,
            DataType::NaiveTime => Self::Time,
            DataType::NaiveDatetime => Self::Timestamp,
            DataType::UtcDatetime => Self::TimestampTz,
            DataType::Binary => Self::Blob,
            DataType::String | DataType::Xml => Self::Varchar,
            DataType::Json => Self::Json,
            DataType::Decimal => match column.params.as_ref().and_then(|params| params.params) {
                Some(Params::Decimal(digits)) => decimal_type(digits.precision, digits.scale),
                _ => return None,
            },
        })
    }

    /// The type that a value suggests for a column without a type; `None` for null.
    pub(super) fn natural(value: &Inner) -> Option<Self> {
        Some(match value {
            Inner::Null(_) => return None,
            Inner::Bool(_) => Self::Boolean,
            Inner::Short(_) => Self::SmallInt,
            Inner::Int(_) => Self::Integer,
            Inner::Long(_) => Self::BigInt,
            Inner::Float(_) => Self::Float,
            Inner::Double(_) => Self::Double,
            Inner::NaiveDate(_) => Self::Date,
            Inner::NaiveDatetime(_) => Self::Timestamp,
            Inner::UtcDatetime(_) => Self::TimestampTz,
            Inner::NaiveTime(_) => Self::Time,
            Inner::Binary(_) => Self::Blob,
            Inner::String(_) | Inner::Xml(_) => Self::Varchar,
            Inner::Json(_) => Self::Json,
            Inner::Decimal(text) => {
                let (whole, fraction) = Decimal::parse(text)?.digits();
                fitting_decimal(whole, fraction)
            }
        })
    }

    /// The narrowest type that holds the values of both; text if there is no other.
    pub(super) fn widen(self, other: Self) -> Self {
        use ColumnType::{
            BigInt, Date, Decimal, Double, Float, Integer, SmallInt, Timestamp, TimestampTz,
        };
        if self == other {
            return self;
        }
        match (self, other) {
            (SmallInt, wide @ (Integer | BigInt)) | (wide @ (Integer | BigInt), SmallInt) => wide,
            (Integer, BigInt) | (BigInt, Integer) => BigInt,
            // A double holds every float and every 32-bit integer. A 64-bit integer may lose digits, as on the
            // platform.
            (Float, SmallInt | Integer | BigInt | Double)
            | (SmallInt | Integer | BigInt | Double, Float)
            | (Double, SmallInt | Integer | BigInt)
            | (SmallInt | Integer | BigInt, Double) => Double,
            (Decimal { .. }, Decimal { .. } | SmallInt | Integer | BigInt)
            | (SmallInt | Integer | BigInt, Decimal { .. }) => widen_decimals(self, other),
            (Date, time @ (Timestamp | TimestampTz)) | (time @ (Timestamp | TimestampTz), Date) => {
                time
            }
            (Timestamp, TimestampTz) | (TimestampTz, Timestamp) => TimestampTz,
            _ => Self::Varchar,
        }
    }

    /// Returns true if each value takes the same few bytes.
    pub(super) fn has_fixed_size(self) -> bool {
        !matches!(self, Self::Blob | Self::Varchar | Self::Json)
    }

    /// The most digits before and after the point of the type's numbers.
    fn digits(self) -> (usize, usize) {
        match self {
            Self::SmallInt => (5, 0),
            Self::Integer => (10, 0),
            Self::BigInt => (19, 0),
            Self::Decimal { precision, scale } => {
                (usize::from(precision - scale), usize::from(scale))
            }
            _ => (0, 0),
        }
    }
}

fn widen_decimals(left: ColumnType, right: ColumnType) -> ColumnType {
    let (left, right) = (left.digits(), right.digits());
    fitting_decimal(
        std::cmp::max(left.0, right.0),
        std::cmp::max(left.1, right.1),
    )
}

fn fitting_decimal(whole: usize, fraction: usize) -> ColumnType {
    match (
        u8::try_from(std::cmp::max(whole + fraction, 1)),
        u8::try_from(fraction),
    ) {
        (Ok(precision), Ok(scale)) if precision <= MAX_PRECISION => {
            ColumnType::Decimal { precision, scale }
        }
        // More digits than the warehouse's decimals hold. Text loses nothing.
        _ => ColumnType::Varchar,
    }
}

fn decimal_type(precision: u32, scale: u32) -> ColumnType {
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..=MAX_PRECISION), Ok(scale)) if scale <= precision => {
            ColumnType::Decimal { precision, scale }
        }
        _ => ColumnType::Varchar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(precision: u8, scale: u8) -> ColumnType {
        ColumnType::Decimal { precision, scale }
    }

    #[test]
    fn widening_is_symmetric_and_never_narrows() {
        let types = [
            ColumnType::Boolean,
            ColumnType::SmallInt,
            ColumnType::Integer,
            ColumnType::BigInt,
            decimal(10, 2),
            ColumnType::Float,
            ColumnType::Double,
            ColumnType::Date,
            ColumnType::Time,
            ColumnType::Timestamp,
            ColumnType::TimestampTz,
            ColumnType::Blob,
            ColumnType::Varchar,
            ColumnType::Json,
        ];
        for left in types {
            for right in types {
                let wide = left.widen(right);
                assert_eq!(wide, right.widen(left), "{left:?} {right:?}");
                assert_eq!(wide, wide.widen(left), "{left:?} {right:?}");
            }
        }
        assert_eq!(decimal(5, 2).widen(decimal(4, 3)), decimal(6, 3));
        assert_eq!(decimal(5, 2).widen(ColumnType::BigInt), decimal(21, 2));
        assert_eq!(decimal(38, 0).widen(decimal(5, 2)), ColumnType::Varchar);
    }
}
