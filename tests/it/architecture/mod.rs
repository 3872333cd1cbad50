//! The dependency rules of `docs/ARCHITECTURE.md`: which module may use which.

mod circles;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The modules that each module of the crate may use, besides itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("tables", &[]),
    ("messages", &[]),
    ("config", &["messages", "tables"]),
    ("rows", &["tables"]),
    (
        "prefect",
        &["clock", "config", "error", "messages", "telemetry"],
    ),
    (
        "sync",
        &[
            "clock",
            "error",
            "messages",
            "prefect",
            "rows",
            "tables",
            "telemetry",
        ],
    ),
    (
        "fivetran",
        &[
            "clock",
            "config",
            "error",
            "messages",
            "prefect",
            "rows",
            "sync",
            "tables",
            "telemetry",
        ],
    ),
    (
        "replay",
        &[
            "clock",
            "config",
            "fivetran",
            "fivetran::proto",
            "prefect",
            "sync",
            "tables",
        ],
    ),
    (
        "cli",
        &[
            "clock",
            // For the names of the form's fields.
            "config",
            "fivetran",
            "messages",
            "replay",
            // For the contents of a saved state.
            "sync",
            "tables",
            "telemetry",
        ],
    ),
];

/// The packages of the workspace that each package uses.
const PACKAGES: &[(&str, &[&str])] = &[
    ("secret-redactor", &[]),
    ("sync-clock", &[]),
    ("sync-telemetry", &[]),
    ("fivetran-proto", &[]),
    ("prefect-fake", &["sync-clock"]),
    // Not the connector, whose unit tests use it, too.
    ("test-support", &["fivetran-proto"]),
    // Only a gRPC client: no tables, no sync, no Prefect.
    (
        "fivetran-runner",
        &[
            "fivetran-proto",
            "secret-redactor",
            "sync-clock",
            "sync-telemetry",
        ],
    ),
];

/// Crates that only the listed files may name.
const ONE_PLACE: &[(&str, &[&str])] = &[
    (
        "duckdb::",
        &[
            "crates/fivetran-runner/src/database.rs",
            "crates/fivetran-runner/src/database/",
        ],
    ),
    (
        "reqwest::",
        &[
            "src/prefect/http",
            "src/prefect/auth.rs",
            "src/prefect/error.rs",
        ],
    ),
    (
        "prost_types::",
        &["src/fivetran/", "crates/fivetran-runner/src/"],
    ),
    ("backoff::", &["src/prefect/retry.rs"]),
];

/// Returns all source files with their text, without the code below `#[cfg(test)]`.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                let code = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
                let name = path
                    .strip_prefix(root)
                    .expect("below the root")
                    .to_string_lossy();
                let name = name.replace('\\', "/");
                if !name.contains("/tests") {
                    found.insert(name, code.to_owned());
                }
            }
        }
    }
    assert!(found.len() > 30, "the sources are where they were");
    found
}

/// Returns the modules of the crate that a text uses; `fivetran::proto` and `fivetran` are separate entries.
fn uses(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            // `use crate::{a::B, c}`: the first word of each item at the outer level.
            let mut depth = 0;
            let mut item = String::new();
            for char in list.chars() {
                match char {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => used.extend(module(std::mem::take(&mut item).trim())),
                    _ if depth == 0 => item.push(char),
                    _ => {}
                }
            }
            used.extend(module(item.trim()));
        } else {
            used.extend(module(rest));
        }
    }
    used
}

fn module(path: &str) -> Option<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let first = word(path);
    let second = path[first.len()..].strip_prefix("::").map(word);
    match (first.as_str(), second.as_deref()) {
        ("", _) => None,
        ("fivetran", Some("proto")) => Some("fivetran::proto".to_owned()),
        _ => Some(first),
    }
}

#[test]
fn modules_use_only_permitted_modules() {
    let sources = sources();
    for (name, code) in sources.iter().filter(|(name, _)| name.starts_with("src/")) {
        let module = name
            .trim_start_matches("src/")
            .trim_end_matches(".rs")
            .split('/')
            .next()
            .expect("a module");
        if ["lib", "main", "fuzz_api"].contains(&module) {
            continue;
        }
        let allowed = ALLOWED
            .iter()
            .find(|(of, _)| *of == module)
            .unwrap_or_else(|| panic!("{name}: module {module} has no line in this test"))
            .1;
        for used in uses(code) {
            let is_own = used == module || used.split("::").next() == Some(module);
            assert!(
                is_own || allowed.contains(&used.as_str()),
                "{name} uses {used}, which {module} may not know (docs/ARCHITECTURE.md)"
            );
        }
    }
}

#[test]
fn packages_use_only_permitted_packages() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let mut found = 0;
    for entry in fs::read_dir(&crates).expect("a folder") {
        let folder = entry.expect("an entry").path();
        let name = folder.file_name().expect("a name").to_string_lossy();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        let (_, allowed) = PACKAGES
            .iter()
            .find(|(package, _)| *package == name)
            .unwrap_or_else(|| panic!("package {name} has no line in this test"));
        let used: BTreeSet<&str> = manifest
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|used| crates.join(used).is_dir() && !used.is_empty())
            .collect();
        assert_eq!(used, allowed.iter().copied().collect(), "{name}");
        found += 1;
    }
    assert_eq!(found, PACKAGES.len());
}

#[test]
fn some_crates_are_used_in_one_place_only() {
    for (name, code) in sources() {
        for (used, places) in ONE_PLACE {
            let names_it = code
                .match_indices(used)
                .any(|(at, _)| !code[..at].ends_with("::") && !code[..at].ends_with('_'));
            let may = places.iter().any(|place| name.starts_with(place));
            assert!(may || !names_it, "{name} names {used}");
        }
    }
}

#[test]
fn used_modules_are_found_in_the_code() {
    let code = "use crate::{a::B, c::{D, e}, fivetran::proto::X};\nuse crate::f;\ncrate::g::h();";
    let want = ["a", "c", "f", "fivetran::proto", "g"].map(str::to_owned);
    assert_eq!(uses(code), BTreeSet::from(want));
}

/// The walk of a page in `docs/ARCHITECTURE.md` names functions that exist in the named files.
#[test]
fn the_document_names_files_and_functions_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).expect("the document");
    let quoted = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let mut steps = 0;
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let Some(1..) = cells[0].trim().parse::<u32>().ok() else {
            continue;
        };
        let (file, function) = (quoted(cells[1]), quoted(cells[2]));
        let code = fs::read_to_string(root.join(&file))
            .unwrap_or_else(|error| panic!("docs/ARCHITECTURE.md names {file}: {error}"));
        let is_there = [format!("fn {function}("), format!("fn {function}<")]
            .iter()
            .any(|start| code.contains(start));
        assert!(
            is_there,
            "docs/ARCHITECTURE.md: {file} has no function {function}"
        );
        steps += 1;
    }
    assert_eq!(steps, 10);
    let paths = text
        .split('`')
        .filter(|path| path.starts_with("src/") || path.starts_with("crates/"));
    for path in paths {
        assert!(
            root.join(path).exists(),
            "docs/ARCHITECTURE.md names {path}"
        );
    }
}
