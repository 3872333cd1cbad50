//! The warnings of a sync by text, with counts.

use std::collections::HashMap;

/// The most distinct warnings that are kept. Further ones are only counted.
const MAX_WARNINGS: usize = 1_000;

/// The distinct warnings so far, in the order of first arrival.
#[derive(Default)]
pub(super) struct Warnings {
    list: Vec<(String, u64)>,
    positions: HashMap<String, usize>,
}

impl Warnings {
    /// Counts a warning with this text.
    pub(super) fn add(&mut self, text: String) {
        if let Some(position) = self.positions.get(&text) {
            self.list[*position].1 += 1;
        } else if self.list.len() < MAX_WARNINGS {
            self.positions.insert(text.clone(), self.list.len());
            self.list.push((text, 1));
        } else if self.list.len() == MAX_WARNINGS {
            self.list.push(("further warnings".to_owned(), 1));
        } else if let Some((_, count)) = self.list.last_mut() {
            *count += 1;
        }
    }

    pub(super) fn into_list(self) -> Vec<(String, u64)> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_warnings_are_only_counted() {
        let mut warnings = Warnings::default();
        for number in 0..MAX_WARNINGS + 5 {
            warnings.add(number.to_string());
        }
        warnings.add("0".into());
        let list = warnings.into_list();
        assert_eq!(list.len(), MAX_WARNINGS + 1);
        assert_eq!(list[0], ("0".into(), 2));
        assert_eq!(list[MAX_WARNINGS], ("further warnings".into(), 5));
    }
}
