//! Whole numbers with bounds.

use std::str::FromStr;

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundedU32<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> BoundedU32<MIN, MAX> {
    /// Creates a number; a value out of range becomes the nearest bound.
    pub const fn new(number: u32) -> Self {
        Self(if number < MIN {
            MIN
        } else if number > MAX {
            MAX
        } else {
            number
        })
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for BoundedU32<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => Err(format!(
                "must be a whole number from {MIN} to {MAX}{}",
                repeated(text)
            )),
        }
    }
}

/// Returns the input for an error message if it looks like a number. Other input may be a key in the wrong field.
fn repeated(text: &str) -> String {
    let is_numeric = |it: char| it.is_ascii_digit() || "+-., ".contains(it);
    if !text.is_empty() && text.len() <= 20 && text.chars().all(is_numeric) {
        format!(", not `{text}`")
    } else {
        String::new()
    }
}
