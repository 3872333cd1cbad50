//! The closest of several names to a misspelled one.

/// Returns the name that is most similar to `name`, unless all of them differ from it in more than a third.
pub(crate) fn closest_name<'a>(
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase();
    let by_distance = names.into_iter().map(|other| {
        let distance = strsim::damerau_levenshtein(&name, &other.to_lowercase());
        (distance, other)
    });
    let (distance, closest) = by_distance.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= name.chars().count()).then_some(closest)
}

/// Returns a sentence about a value that is none of the allowed ones. The value itself, which may be a key in the wrong
/// field, is not repeated.
pub(super) fn not_allowed(value: &str, allowed: &[&str]) -> String {
    let quoted: Vec<_> = allowed.iter().map(|name| format!("`{name}`")).collect();
    let allowed_names = quoted.join(" or ");
    match closest_name(value, allowed.iter().copied()) {
        Some(closest) => format!("must be {allowed_names}; the closest value is `{closest}`"),
        None => format!("must be {allowed_names}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_close_if_it_differs_in_at_most_a_third() {
        let names = ["flow_runs", "flows", "Self-hosted"];
        for (name, closest) in [
            ("flow_run", Some("flow_runs")),
            ("FLOWS", Some("flows")),
            ("flwos", Some("flows")),
            ("selfhosted", Some("Self-hosted")),
            ("flo", None),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(closest_name(name, names), closest, "{name}");
        }
        assert_eq!(closest_name("flows", []), None);
    }
}
