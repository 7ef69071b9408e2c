//! Tests of the links of the guide (`src/guide.rs`), which have to work in a viewer of
//! the repository and in the documentation of the crate.
//!
//! `GUIDE=write cargo test --test guide` writes the programs of `examples/` into the pages
//! that show them, and `src/guide/charts.md`, which has the pictures of
//! `docs/performance.md`: the documentation of the crate has no files beside its pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The pages that are for developers of the crate alone.
const NOT_IN_THE_GUIDE: &[&str] = &["libaio-cases", "mutants", "tokio-performance", "unsafe"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the names of the pages and of their modules, from the source of the guide.
fn pages() -> Vec<(String, String)> {
    let source = read("src/guide.rs");
    let list = source.split_once("\npages! {\n").unwrap().1;
    let rows = list.lines().map_while(|row| row.trim().strip_prefix('"'));
    rows.map(|row| {
        let (page, module) = row.split_once("\" ").unwrap();
        let module = module.split([' ', ';']).next().unwrap();
        (page.to_owned(), module.to_owned())
    })
    .collect()
}

/// A page without its code, and its definitions of links.
#[derive(Default)]
struct Page {
    /// The labels that the text uses.
    used: BTreeSet<String>,
    /// The targets of links of the form `[text](target)`.
    inline: Vec<String>,
    defined: BTreeMap<String, String>,
    headings: BTreeSet<String>,
}

impl Page {
    fn parse(text: &str) -> Page {
        let mut page = Page::default();
        let mut prose = String::new();
        let mut fence = None;
        for line in text.lines() {
            let mark = line.trim_start().split(|c| c != '`').next().unwrap();
            match fence {
                None if mark.len() >= 3 => fence = Some(mark.len()),
                Some(len) if mark.len() >= len => fence = None,
                Some(_) => {}
                None => {
                    if let Some((label, target)) = definition(line) {
                        let before = page.defined.insert(label.to_owned(), target.to_owned());
                        assert_eq!(before, None, "{label} is defined twice");
                    } else {
                        if line.starts_with('#') {
                            page.headings.insert(slug(line.trim_start_matches('#')));
                        }
                        prose += line;
                        prose.push('\n');
                    }
                }
            }
        }
        page.scan(&prose);
        page
    }

    /// Finds the links: `[text][label]`, `[label]` and `[text](target)`. Code is skipped,
    /// except in a label.
    fn scan(&mut self, mut rest: &str) {
        while let Some(at) = rest.find(['[', '`']) {
            let (mark, after) = rest[at..].split_at(1);
            rest = after;
            if mark == "`" {
                rest = after.split_once('`').map_or("", |(_, rest)| rest);
                continue;
            }
            let Some((text, after)) = bracketed(after) else {
                continue;
            };
            if let Some(link) = after.strip_prefix('(') {
                let (target, after) = link.split_once(')').unwrap();
                self.inline.push(target.to_owned());
                rest = after;
            } else if let Some((label, after)) = after.strip_prefix('[').and_then(bracketed) {
                self.used.insert(label.replace('\n', " "));
                rest = after;
            } else {
                self.used.insert(text.replace('\n', " "));
                rest = after;
            }
        }
    }
}

/// Splits behind the bracket that closes the one before `text`.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    text.split_once(']')
}

fn definition(line: &str) -> Option<(&str, &str)> {
    let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
    Some((label, target.split(' ').next().unwrap()))
}

/// Returns the fragment of a heading, which is the same on GitHub and from rustdoc for
/// headings of letters, digits, spaces and the marks that are dropped.
fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let kept = heading.trim().chars().filter(kept);
    kept.map(|c| {
        if c == ' ' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    })
    .collect()
}

/// Returns the path from the root of the repository of a link in `docs/`.
fn normal(target: &str) -> String {
    let mut path = PathBuf::from("docs");
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{target} leaves the repository"),
            part => path.push(part),
        }
    }
    path.to_str().unwrap().to_owned()
}

fn definitions(path: &str) -> BTreeMap<String, String> {
    Page::parse(&read(path)).defined
}

#[test]
fn each_page_is_in_the_guide() {
    let pages: BTreeSet<String> = pages().into_iter().map(|(page, _)| page).collect();
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(page) = name.strip_suffix(".md") {
            files.insert(page.to_owned());
        }
    }
    for page in NOT_IN_THE_GUIDE {
        assert!(files.remove(*page), "docs/{page}.md does not exist");
    }
    assert_eq!(pages, files);
}

#[test]
fn links_of_the_guide_have_a_definition_in_both_places() {
    let pages = pages();
    let links = definitions("src/guide/links.md");
    let charts = definitions("src/guide/charts.md");
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for (name, _) in &pages {
        let page = Page::parse(&read(&format!("docs/{name}.md")));
        let mut complain = |what: String| wrong.push(format!("docs/{name}.md: {what}"));
        for target in &page.inline {
            match target.strip_prefix('#') {
                Some(fragment) if page.headings.contains(fragment) => {}
                _ => complain(format!("]({target}) has no definition at the end")),
            }
        }
        for label in &page.used {
            if !page.defined.contains_key(label) {
                complain(format!("[{label}] is not defined"));
            }
        }
        for (label, target) in &page.defined {
            if !page.used.contains(label) {
                complain(format!("[{label}] is not used"));
            }
            used.insert(label.clone());
            if let Some(item) = target.strip_prefix("https://docs.rs/linux-aio/latest/") {
                if !links.contains_key(label) {
                    complain(format!("[{label}], which is {item}, is not in links.md"));
                }
                continue;
            }
            if target.starts_with("https://") {
                if links.contains_key(label) {
                    complain(format!("[{label}] leads elsewhere by links.md"));
                }
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let path = normal(file);
            if !root().join(&path).is_file() {
                complain(format!("{target} does not exist"));
                continue;
            }
            let linked = pages.iter().find(|(name, _)| file == format!("{name}.md"));
            let right = match linked {
                Some((name, _)) if fragment.is_empty() => {
                    label == name && !links.contains_key(label)
                }
                Some((name, module)) => {
                    if !Page::parse(&read(&path)).headings.contains(fragment) {
                        complain(format!("{target} has no such heading"));
                    }
                    label == &format!("{name}#{fragment}")
                        && links.get(label) == Some(&format!("crate::guide::{module}#{fragment}"))
                }
                None if charts.contains_key(label) => label == target,
                // The package has no file of `capi`, so docs.rs has no such page.
                None if path.starts_with("capi") => {
                    links.get(label).map(String::as_str) == Some("crate::guide::packaging")
                }
                None => {
                    let source = "https://docs.rs/crate/linux-aio/latest/source";
                    links.get(label) == Some(&format!("{source}/{path}"))
                }
            };
            if !right {
                complain(format!("[{label}] does not lead to {target} by the guide"));
            }
        }
    }
    for label in links.keys().filter(|label| !used.contains(*label)) {
        wrong.push(format!("src/guide/links.md: no page uses [{label}]"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pictures_of_the_guide_are_those_of_the_repository() {
    let mut expected = String::new();
    for target in definitions("docs/performance.md").values() {
        if target.ends_with(".svg") {
            let svg = fs::read(root().join("docs").join(target)).unwrap();
            expected += &format!("[{target}]: data:image/svg+xml;base64,{}\n", base64(&svg));
        }
    }
    compare("src/guide/charts.md", &expected);
}

/// Compares a file with its expected content, or writes it.
fn compare(path: &str, expected: &str) {
    if std::env::var("GUIDE").is_ok_and(|mode| mode == "write") {
        fs::write(root().join(path), expected).unwrap();
    } else {
        let same = read(path) == expected;
        assert!(
            same,
            "{path} is out of date: GUIDE=write cargo test --test guide"
        );
    }
}

#[test]
fn programs_in_the_pages_are_those_of_the_examples() {
    let mut shown = 0;
    for (name, _) in pages() {
        let path = format!("docs/{name}.md");
        let page = read(&path);
        let (mut expected, mut rest) = (String::new(), page.as_str());
        // The program follows a line that ends with its name.
        while let Some((before, after)) = rest.split_once(".rs]:\n\n```rust,no_run\n") {
            let (_, example) = before.rsplit_once('[').unwrap();
            let (_, after) = after.split_once("```\n").unwrap();
            let source = read(&format!("{example}.rs"));
            let code = source.lines().skip_while(|line| line.starts_with("//!"));
            let code = code.collect::<Vec<_>>().join("\n");
            let code = code.trim_start();
            expected += &format!("{before}.rs]:\n\n```rust,no_run\n{code}\n```\n");
            rest = after;
            shown += 1;
        }
        expected += rest;
        compare(&path, &expected);
    }
    assert!(shown >= 7, "only {shown} programs");
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(DIGITS[(bits >> (18 - 6 * place) & 63) as usize].into());
            } else {
                text.push('=');
            }
        }
    }
    text
}
