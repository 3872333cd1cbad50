//! Identifiers: UUIDs that are generated from a seed.

use std::fmt;

use chrono::{DateTime, Utc};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Serialize;
use uuid::{Builder, Uuid};

/// A UUID. Ids compare like their text, which is the order of `ID_DESC`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Id(Uuid);

impl Id {
    /// Parses the hyphenated or the bare form, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        // The library also reads UUIDs in braces and URNs, which are longer.
        let has_length = matches!(text.len(), 32 | 36);
        has_length.then(|| Uuid::try_parse(text).ok().map(Self))?
    }

    /// Returns the lower half, a number that differs from id to id.
    pub(super) fn fold(self) -> u64 {
        self.0.as_u64_pair().1
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
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
        Id(Builder::from_random_bytes(self.bytes()).into_uuid())
    }

    /// Returns an id that grows with time (version 7) if the release uses them, otherwise a random one.
    pub fn ordered(&mut self, at: DateTime<Utc>) -> Id {
        if !self.time_ordered {
            return self.random();
        }
        // A version 7 id has the time in place of the first six bytes.
        let [_, _, _, _, _, _, random @ ..] = self.bytes();
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        Id(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    fn bytes(&mut self) -> [u8; 16] {
        self.rng.random::<u128>().to_be_bytes()
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
    fn the_ids_of_a_seed_never_change() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let mut ids = Ids::new(7, true);
        let generated = [ids.random(), ids.ordered(at), ids.random()];
        let known = [
            "2c0fc8dd-fa4e-4e14-8e2c-1a002aae913d",
            "018bcfe5-6800-713c-b7b3-11b3b0d45872",
            "77385b62-7c22-4489-b6b2-63f2f5790376",
        ];
        assert_eq!(generated.map(|id| id.to_string()), known);
        ids = Ids::new(7, false);
        let generated = [ids.ordered(at), ids.random()];
        let known = [known[0], "6d5d9f6a-6318-413c-b7b3-11b3b0d45872"];
        assert_eq!(generated.map(|id| id.to_string()), known);
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
            "{00000000-0000-0000-0000-000000000000}",
            "urn:uuid:00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
