//! Circles of imports between files: a file must not use another one that, directly or not, uses the first.
//!
//! A name counts as used from the file that defines it, not from the file that re-exports it. Methods are not names in
//! this sense, so a type and its `impl` blocks may be in several files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{
    Attribute, Item, UseTree, Visibility,
    visit::{self, Visit},
};

/// The path of a module, without the package's name.
type Module = Vec<String>;

/// The names that a file imports and uses.
#[derive(Default)]
struct File {
    /// The target of each imported name.
    imports: BTreeMap<String, Vec<String>>,
    /// The modules of which all names are imported.
    globs: Vec<Vec<String>>,
    /// The names that the file defines.
    defined: BTreeSet<String>,
    /// The paths that occur in the file.
    paths: BTreeSet<Vec<String>>,
    /// The modules that are written in the file itself: their paths are relative to another module.
    depth: usize,
}

/// Returns true for an item that is compiled in tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
            _ => String::new(),
        };
        let mut words = condition.split(|char: char| !char.is_ascii_alphanumeric());
        words.any(|word| word == "test") && !condition.contains("not")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl File {
    fn parse(text: &str) -> Self {
        let mut file = Self::default();
        file.visit_file(&syn::parse_file(text).expect("Rust"));
        file
    }

    /// Adds the names of an import. A re-export alone is not a use.
    fn import(&mut self, tree: &UseTree, mut path: Vec<String>, is_use: bool) {
        let (name, target) = match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                return self.import(&tree.tree, path, is_use);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, path.clone(), is_use);
                }
                return;
            }
            UseTree::Glob(_) => {
                if is_use {
                    self.paths.insert(path.clone());
                }
                self.globs.push(path);
                return;
            }
            UseTree::Name(name) if name.ident == "self" => {
                (path.last().cloned().unwrap_or_default(), path)
            }
            UseTree::Name(name) => {
                path.push(name.ident.to_string());
                (name.ident.to_string(), path)
            }
            UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    path.push(rename.ident.to_string());
                }
                (rename.rename.to_string(), path)
            }
        };
        if is_use {
            self.paths.insert(target.clone());
        }
        self.imports.insert(name, target);
    }

    fn define(&mut self, item: &Item) {
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Macro(syn::ItemMacro {
                ident: Some(ident), ..
            }) => ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            _ => return,
        };
        self.defined.insert(name.to_string());
    }
}

impl<'ast> Visit<'ast> for File {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        self.define(item);
        match item {
            Item::Use(item) => {
                let is_use = matches!(item.vis, Visibility::Inherited);
                self.import(&item.tree, Vec::new(), is_use && self.depth == 0);
            }
            Item::Mod(item) if item.content.is_some() => {
                self.depth += 1;
                visit::visit_item_mod(self, item);
                self.depth -= 1;
            }
            item => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        self.paths
            .insert(segments.map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// Skips the path in `pub(in path)`.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    /// Adds the paths among the tokens of a macro.
    fn visit_macro(&mut self, macro_: &'ast syn::Macro) {
        let text = macro_.tokens.to_string();
        let text = text.replace(" :: ", "::");
        let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
        for word in text.split(|char| !is_part(char)) {
            let path: Vec<String> = word.split("::").map(str::to_owned).collect();
            let is_path = |name: &String| name.starts_with(|char: char| char.is_alphabetic());
            if path.iter().all(is_path) {
                self.paths.insert(path);
            }
        }
        visit::visit_macro(self, macro_);
    }
}

/// The files of a package.
struct Package(BTreeMap<Module, File>);

impl Package {
    fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(root).expect("below the root");
                let mut module: Module = name
                    .with_extension("")
                    .iter()
                    .map(|part| part.to_string_lossy().into_owned())
                    .collect();
                if module.iter().any(|part| part == "tests" || part == "main") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    if module
                        .last()
                        .is_some_and(|last| last == "mod" || last == "lib")
                    {
                        module.pop();
                    }
                    let text = fs::read_to_string(&path).expect("text");
                    files.insert(module, File::parse(&text));
                }
            }
        }
        Self(files)
    }

    /// Returns the module whose file defines what `path` names in `module`; `None` for a name of another package.
    fn definition(&self, path: &[String], module: &Module, depth: usize) -> Option<Module> {
        if depth > 16 {
            return None;
        }
        let mut at = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            _ => {}
        }
        while rest.first().is_some_and(|name| name == "super") {
            at.pop();
            rest = &rest[1..];
        }
        let is_relative = rest.len() == path.len();
        while let Some(name) = rest.first() {
            let mut child = at.clone();
            child.push(name.clone());
            if self.0.contains_key(&child) {
                at = child;
                rest = &rest[1..];
                continue;
            }
            let file = self.0.get(&at)?;
            if let Some(target) = file.imports.get(name) {
                if target.first() == Some(name) && target.len() == 1 {
                    return None;
                }
                let target: Vec<String> = target.iter().chain(&rest[1..]).cloned().collect();
                return self.definition(&target, &at, depth + 1);
            }
            if file.defined.contains(name) {
                return Some(at);
            }
            let globs = file.globs.iter();
            let mut globs = globs.filter_map(|glob| self.definition(glob, &at, depth + 1));
            let found = globs.find(|found| self.0[found].defined.contains(name));
            return found.or((!is_relative).then_some(at));
        }
        Some(at)
    }

    /// Returns the files that each file uses.
    fn uses(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let uses = self.0.iter().map(|(module, file)| {
            let used = file.paths.iter();
            let used = used.filter_map(|path| self.definition(path, module, 0));
            (module, used.filter(|used| used != module).collect())
        });
        uses.collect()
    }

    /// Returns the groups of files that use each other, each in the order of their names.
    fn circles(&self) -> Vec<String> {
        let uses = self.uses();
        let reached = |from: &Module| {
            let mut reached: BTreeSet<&Module> = BTreeSet::new();
            let mut next = vec![from];
            while let Some(module) = next.pop() {
                for used in &uses[module] {
                    if reached.insert(used) {
                        next.push(used);
                    }
                }
            }
            reached
        };
        let reached: BTreeMap<&Module, BTreeSet<&Module>> = uses
            .keys()
            .map(|module| (*module, reached(module)))
            .collect();
        let mut circles = BTreeSet::new();
        for (module, others) in &reached {
            let circle: Vec<String> = others
                .iter()
                .filter(|other| others.contains(module) && reached[**other].contains(module))
                .map(|other| match other.as_slice() {
                    [] => "lib.rs".to_owned(),
                    other => other.join("::"),
                })
                .collect();
            if !circle.is_empty() {
                circles.insert(circle.join(", "));
            }
        }
        circles.into_iter().collect()
    }
}

#[test]
fn no_file_is_in_a_circle_of_imports() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![root.join("src")];
    for entry in fs::read_dir(root.join("crates")).expect("a folder") {
        sources.push(entry.expect("an entry").path().join("src"));
    }
    let mut found = Vec::new();
    for source in sources {
        let package = Package::read(&source);
        let name = source.strip_prefix(root).expect("below the root");
        let circles = package.circles().into_iter();
        found.extend(circles.map(|circle| format!("{}: {circle}", name.display())));
    }
    assert!(
        found.is_empty(),
        "files that use each other:\n{}",
        found.join("\n")
    );
}

#[test]
fn circles_are_found_through_re_exports_functions_and_macros() {
    let package = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(module, text)| {
            let module = module.split("::").filter(|part| !part.is_empty());
            (module.map(str::to_owned).collect(), File::parse(text))
        });
        Package(files.collect())
    };
    let re_exported = package(&[
        ("", "mod a; mod b;"),
        ("a", "mod deep; pub use deep::Deep; pub struct Own;"),
        ("a::deep", "use crate::b::f; pub struct Deep;"),
        ("b", "use crate::a::Deep; pub fn f() {}"),
    ]);
    assert_eq!(re_exported.circles(), ["a::deep, b"]);
    let child = package(&[
        ("", "mod a;"),
        ("a", "mod deep; pub struct Own; fn f() { deep::g(); }"),
        ("a::deep", "pub fn g(own: super::Own) {}"),
    ]);
    assert_eq!(child.circles(), ["a, a::deep"]);
    let in_a_macro = package(&[
        ("", "mod a; mod b;"),
        ("a", r#"pub fn f() { println!("{}", crate::b::N); }"#),
        ("b", "pub const N: u8 = 1; fn g() { super::a::f(); }"),
    ]);
    assert_eq!(in_a_macro.circles(), ["a, b"]);
    let only_in_tests = package(&[
        ("", "mod a; mod b;"),
        (
            "a",
            "pub fn f() {}\n#[cfg(test)]\nmod tests { use crate::b::N; }",
        ),
        ("b", "pub const N: u8 = 1; fn g() { super::a::f(); }"),
    ]);
    assert_eq!(only_in_tests.circles(), [""; 0]);
}
