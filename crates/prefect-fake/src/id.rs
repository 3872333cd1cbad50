//! Identifiers: UUIDs that are generated from a seed.

use std::fmt;

use chrono::{DateTime, Utc};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::{Serialize, Serializer};

/// A UUID. Ids compare like their text, which is the order of `ID_DESC`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u128);

impl Id {
    /// Parses the hyphenated or the bare form, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let hyphens = [8, 13, 18, 23];
        let hyphenated = bytes.len() == 36 && hyphens.iter().all(|&at| bytes[at] == b'-');
        if !hyphenated && bytes.len() != 32 {
            return None;
        }
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(&digits, 16).ok().map(Self)
    }

    /// Returns the lower half, a number that differs from id to id.
    pub(super) fn fold(self) -> u64 {
        u64::try_from(self.0 & u128::from(u64::MAX)).unwrap_or(0)
    }

    fn versioned(bits: u128, version: u128) -> Self {
        let cleared = bits & !(0xf_u128 << 76) & !(0x3_u128 << 62);
        Self(cleared | (version << 76) | (0x2_u128 << 62))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            id >> 96,
            (id >> 80) & 0xffff,
            (id >> 64) & 0xffff,
            (id >> 48) & 0xffff,
            id & 0xffff_ffff_ffff,
        )
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A generator of ids. The same seed generates the same ids.
#[derive(Debug, Clone)]
pub struct Ids {
    rng: SmallRng,
    time_ordered: bool,
}

impl Ids {
    /// Creates a generator. `time_ordered` is true if the release uses version 7 for some ids.
    pub fn new(seed: u64, time_ordered: bool) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(seed),
            time_ordered,
        }
    }

    /// Switches to the ids of another release.
    pub fn order_by_time(&mut self, time_ordered: bool) {
        self.time_ordered = time_ordered;
    }

    /// Returns a random id (version 4), as the API assigns to objects that clients create.
    pub fn random(&mut self) -> Id {
        Id::versioned(self.rng.random(), 4)
    }

    /// Returns an id that grows with time (version 7) if the release uses them, otherwise a random one.
    pub fn ordered(&mut self, at: DateTime<Utc>) -> Id {
        let random: u128 = self.rng.random();
        if !self.time_ordered {
            return Id::versioned(random, 4);
        }
        let millis = u128::try_from(at.timestamp_millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        Id::versioned((millis << 80) | (random & ((1 << 80) - 1)), 7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_ids_and_text_round_trips() {
        let (mut a, mut b) = (Ids::new(7, true), Ids::new(7, true));
        for _ in 0..100 {
            let id = a.random();
            assert_eq!(id, b.random());
            assert_eq!(Id::parse(&id.to_string()), Some(id));
            assert_eq!(id.to_string().as_bytes()[14], b'4');
        }
        assert_ne!(Ids::new(8, true).random(), Ids::new(7, true).random());
    }

    #[test]
    fn ordered_ids_follow_time_only_where_the_release_has_them() {
        let early = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let late = DateTime::from_timestamp(1_700_000_001, 0).unwrap();
        let mut ids = Ids::new(1, true);
        for _ in 0..50 {
            assert!(ids.ordered(early) < ids.ordered(late));
        }
        assert_eq!(
            Ids::new(1, false).ordered(early).to_string().as_bytes()[14],
            b'4'
        );
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "zz",
            "0000",
            "00000000-0000-0000-0000-00000000000g",
            "00000000-000-00000-0000-000000000000",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
