//! Checks that every public type, trait, function, method and macro has an example.
//!
//! rustdoc's own count (`--show-coverage`) does not see the methods of a type that is
//! public by a re-export alone.

use std::collections::BTreeSet;
use std::path::Path;

use rustdoc_types::{Crate, Id, Impl, Item, ItemEnum};

/// Prints the items without an example, which are an error.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let json = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let docs: Crate = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let mut search = Search {
        docs: &docs,
        visited: BTreeSet::new(),
        with: 0,
        without: Vec::new(),
    };
    search.visit(docs.root, "");
    let (with, without) = (search.with, search.without);
    for item in &without {
        println!("{item}: no example");
    }
    println!("{with} of {} items have an example", with + without.len());
    match (with, without.len()) {
        (0, 0) => Err("no public item".to_owned()),
        (_, 0) => Ok(()),
        (_, missing) => Err(format!("{missing} items without an example")),
    }
}

struct Search<'d> {
    docs: &'d Crate,
    /// An item may be public at several paths.
    visited: BTreeSet<u32>,
    with: usize,
    without: Vec<String>,
}

impl Search<'_> {
    /// Visits an item that is public at `path`, and those in it.
    fn visit(&mut self, id: Id, path: &str) {
        // An item of another crate, or one that is hidden.
        let Some(item) = self.docs.index.get(&id) else {
            return;
        };
        if item.crate_id != 0 || !self.visited.insert(id.0) {
            return;
        }
        let name = item.name.as_deref().unwrap_or_default();
        let path = &format!("{path}::{name}");
        match &item.inner {
            ItemEnum::Module(module) => {
                for &id in &module.items {
                    self.visit(id, path);
                }
            }
            ItemEnum::Use(import) => {
                if let Some(id) = import.id {
                    self.visit(id, path.rsplit_once("::").map_or("", |(parent, _)| parent));
                }
            }
            ItemEnum::Struct(structure) => self.visit_type(item, path, &structure.impls),
            ItemEnum::Enum(choice) => self.visit_type(item, path, &choice.impls),
            ItemEnum::Union(union) => self.visit_type(item, path, &union.impls),
            ItemEnum::Trait(definition) => {
                self.count(item, path);
                self.visit_functions(&definition.items, path);
            }
            ItemEnum::Function(_)
            | ItemEnum::Macro(_)
            | ItemEnum::ProcMacro(_)
            | ItemEnum::TypeAlias(_) => self.count(item, path),
            // Constants, and what a type or trait shows itself.
            _ => {}
        }
    }

    fn visit_type(&mut self, item: &Item, path: &str, impls: &[Id]) {
        self.count(item, path);
        let impls: Vec<(&Item, &Impl)> = impls
            .iter()
            .filter_map(|id| {
                let item = self.docs.index.get(id)?;
                match &item.inner {
                    ItemEnum::Impl(block) => Some((item, block)),
                    _ => None,
                }
            })
            .collect();
        // `bitflags!` documents the methods that it defines.
        let is_flags = impls.iter().any(|(_, block)| {
            let of = block.trait_.as_ref();
            of.is_some_and(|of| of.path.ends_with("Flags"))
        });
        for (at, block) in impls {
            let is_generated = is_flags && at.span == item.span;
            if block.trait_.is_none() && !is_generated {
                self.visit_functions(&block.items, path);
            }
        }
    }

    /// Visits the functions among the items of an `impl` or a trait.
    fn visit_functions(&mut self, items: &[Id], path: &str) {
        for &id in items {
            let item = self.docs.index.get(&id);
            if item.is_some_and(|item| matches!(item.inner, ItemEnum::Function(_))) {
                self.visit(id, path);
            }
        }
    }

    fn count(&mut self, item: &Item, path: &str) {
        if item.docs.as_deref().is_some_and(has_example) {
            self.with += 1;
            return;
        }
        let place = item.span.as_ref().map_or_else(String::new, |span| {
            format!("{}:{}: ", span.filename.display(), span.begin.0)
        });
        let path = path.trim_start_matches("::");
        self.without.push(format!("{place}{path}"));
    }
}

/// Returns whether a documentation has a code block in Rust that is no example of misuse.
fn has_example(docs: &str) -> bool {
    let mut in_block = false;
    docs.lines().any(|line| {
        let Some(tags) = line.trim_start().strip_prefix("```") else {
            return false;
        };
        in_block = !in_block;
        in_block && tags.split(',').all(is_rust)
    })
}

/// Returns whether a code block with this tag can be an example in Rust. The tag `rs` is
/// that of a program that cannot be a documentation test.
fn is_rust(tag: &str) -> bool {
    matches!(
        tag.trim(),
        "" | "rust" | "rs" | "no_run" | "should_panic" | "standalone_crate"
    )
}
