//! Generates `docs/unsafe.md`, the list of every place that the compiler does not
//! check. Each place is listed with its argument, which comes from the source, and with
//! its tests.
//!
//! The page is generated from the sources and the tables in `unsafe_list/tables.rs`.
//! This test fails if the page differs from them, if a place has no argument or no row,
//! if a row has no place, or if a named test does not exist. `UNSAFE_LIST=write cargo
//! test --test unsafe_list` writes the page.

#[path = "unsafe_list/tables.rs"]
mod tables;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tables::{CALLBACKS, DROPS, FILES, INTRODUCTION, STUBS};

/// Calls through which code of a user of the library may run.
const USER_CODE: &[&str] = &[
    "wake()",
    ".waker().clone()",
    "drop(",
    "assume_init_drop(",
    ".region()",
    ".region_mut()",
    ".set_filled(",
    ".is_vectored()",
    ".raw_fd()",
    "as_fd(",
    "op.into()",
    "fd.into()",
    "context.into()",
    "segments.into()",
    "lock.with(",
    "L::NEW",
    "f(&scope)",
    ".as_ref();",
    "main(unsafe",
];

/// One place in a source file.
struct Place {
    file: String,
    /// The item that contains it: `Type::function`.
    item: String,
    kind: Kind,
}

enum Kind {
    /// Unsafe code: its kind, and its argument.
    Unsafe(&'static str, String),
    Drop,
    /// The line of the call.
    UserCode(String),
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Collects the source files below `dir`, in sorted order, without files that contain
/// only tests.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !(path.ends_with("header_tests.rs") || path.ends_with("tests.rs"))
        {
            found.push(path);
        }
    }
}

/// Returns the text behind `marker` in the comments directly above line `at`: `//` or
/// `///`, up to a heading or the end of the comments. Attributes and the beginning of a
/// statement may stand between.
fn comment(lines: &[&str], at: usize, marker: &str) -> Option<String> {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let mut first = at;
    // These lines belong to the statement; `at` may be its last line.
    while first > 0 && !is_comment(lines[first - 1]) {
        let line = lines[first - 1].trim();
        if line.is_empty() || line.ends_with(';') || at - first > 10 {
            return None;
        }
        first -= 1;
    }
    let end = first;
    while first > 0 && is_comment(lines[first - 1]) {
        first -= 1;
    }
    let text = |line: &&str| line.trim_start().trim_start_matches('/').trim().to_string();
    let block: Vec<String> = lines[first..end].iter().map(text).collect();
    let start = block.iter().position(|line| line.starts_with(marker))?;
    let mut argument = block[start][marker.len()..].trim().to_string();
    for line in &block[start + 1..] {
        if line.starts_with('#') {
            break;
        }
        if line.is_empty() && argument.is_empty() {
            continue;
        }
        if !argument.is_empty() {
            argument.push(' ');
        }
        argument.push_str(line);
    }
    Some(without_links(argument.trim()))
}

/// Returns `text` with each link to an item (`[`name`](target)`, `[`name`]`) as its name,
/// since only rustdoc resolves such a link.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("[`") {
        let Some((name, behind)) = behind.split_once("`]") else {
            break;
        };
        plain = plain + before + "`" + name + "`";
        let target = behind.strip_prefix('(');
        rest = target
            .and_then(|target| target.split_once(')'))
            .map_or(behind, |parts| parts.1);
    }
    plain + rest
}

#[test]
fn links_of_rustdoc_become_code() {
    for (comment, plain) in [
        (
            "As [`next`](BatchReader::next), with [`x`].",
            "As `next`, with `x`.",
        ),
        (
            "an [`IoVec`](crate::sys::IoVec) (each)",
            "an `IoVec` (each)",
        ),
        ("`&mut [u8]`, [1] and [`open", "`&mut [u8]`, [1] and [`open"),
    ] {
        assert_eq!(without_links(comment), plain);
    }
}

/// Returns the part of a name at the beginning of `text`.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
    &text[..end.unwrap_or(text.len())]
}

/// Returns `text` without the generics in angle brackets at its beginning.
fn behind_generics(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            // This is the arrow of a function type.
            '>' if text[..at].ends_with('-') => {}
            '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text[at + usize::from(c == '>')..].trim_start();
        }
    }
    text
}

/// Returns the item that starts on a line, if any.
fn item(line: &str) -> Option<String> {
    let mut line = line.trim_start();
    if let Some(rest) = line.strip_prefix("macro_rules! ") {
        return Some(format!("{}!", word(rest)));
    }
    for skip in [
        "pub ",
        "pub(crate) ",
        "pub(super) ",
        "const ",
        "unsafe ",
        "extern \"C\" ",
    ] {
        line = line.strip_prefix(skip).unwrap_or(line);
    }
    if let Some(rest) = line.strip_prefix("impl") {
        let header = behind_generics(rest.trim().trim_end_matches(['{', '}', ' ']));
        let header = header.split(" where").next().unwrap_or(header).trim();
        return Some(match header.split_once(" for ") {
            Some(_) => header.to_string(),
            None => word(header).to_string(),
        });
    }
    for keyword in ["fn ", "trait ", "macro_rules! "] {
        if let Some(rest) = line.strip_prefix(keyword) {
            return Some(word(rest).to_string());
        }
    }
    let name = word(line);
    let is_constant = name.len() > 1 && name.chars().all(|c| c.is_uppercase() || c == '_');
    (is_constant && line[name.len()..].starts_with(": ")).then(|| name.to_string())
}

/// Returns all places of one file, except those in its tests.
fn places(file: &str, source: &str) -> Vec<Place> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    let mut items: Vec<(usize, String)> = Vec::new();
    let mut in_call = false;
    for (at, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if code.trim().is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if line.starts_with("mod tests {") {
            break;
        }
        // A line that closes or continues an item's header does not end the item.
        if !code.trim_start().starts_with([')', '{']) && code.trim() != "where" {
            items.retain(|(outer, _)| *outer < indent);
        }
        let begun = item(code);
        items.extend(begun.iter().map(|name| (indent, name.clone())));
        let names: Vec<&str> = items.iter().map(|(_, name)| name.as_str()).collect();
        let mut push = |kind| {
            found.push(Place {
                file: file.to_string(),
                item: names.join("::"),
                kind,
            });
        };
        let words: Vec<&str> = code
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        // `unsafe(…)` is an attribute, or an argument of a macro.
        if words.contains(&"unsafe") && !code.contains("unsafe(") {
            let behind = code[code.find("unsafe").unwrap()..].trim_start_matches("unsafe");
            let behind = behind.trim_start();
            let (what, marker) = match word(behind) {
                "fn" | "extern" => ("`unsafe fn`", "# Safety"),
                "trait" => ("`unsafe trait`", "# Safety"),
                "impl" => ("`unsafe impl`", "SAFETY:"),
                _ => ("block", "SAFETY:"),
            };
            match comment(&lines, at, marker) {
                Some(argument) => push(Kind::Unsafe(what, argument)),
                // The introduction of the page states their promise.
                None if what == "`unsafe fn`" && file.starts_with("arch/") => {}
                // This only declares a C calling convention; the unsafe operations in
                // it are blocks.
                None if word(behind) == "extern" => {}
                None if what == "`unsafe fn`" && names.concat().contains(" for ") => {
                    push(Kind::Unsafe(what, "as the trait says.".to_string()));
                }
                None => panic!("{file}:{}: no argument", at + 1),
            }
        }
        in_call |= code.contains("trap::syscall");
        assert!(
            !in_call || !code.contains(".addr()"),
            "{file}:{}: the kernel gets a pointer that is not exposed",
            at + 1
        );
        in_call &= !code.contains(')') || !code.trim_end().ends_with([';', '}', '?']);
        if code.contains(" Drop for ") {
            push(Kind::Drop);
        }
        let calls = USER_CODE.iter().any(|call| code.contains(call));
        // The crate root contains documentation in attributes.
        if calls && !code.contains("fn ") && file != "src/lib.rs" {
            push(Kind::UserCode(code.trim().to_string()));
        }
    }
    found
}

/// Panics unless each named test exists: a file, or `file::function`.
fn exist(tests: &str) {
    for test in tests.split(", ") {
        let (file, function) = match test.split_once("::") {
            Some((file, function)) => (file, Some(function)),
            None => (test, None),
        };
        let path = root().join(file);
        let text = fs::read_to_string(&path).or_else(|error| {
            fs::read_dir(&path)
                .map(|_| String::new())
                .map_err(|_| error)
        });
        let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
        if let Some(function) = function {
            assert!(text.contains(&format!("fn {function}(")), "{test} is gone");
        }
    }
}

fn quoted(tests: &str) -> String {
    let each = tests.split(", ").map(|test| format!("`{test}`"));
    each.collect::<Vec<_>>().join(", ")
}

fn page() -> String {
    let mut files = Vec::new();
    for dir in ["arch", "src"] {
        sources(&root().join(dir), &mut files);
    }
    let mut all = Vec::new();
    for path in files {
        let file = path.strip_prefix(root()).unwrap().to_str().unwrap();
        all.extend(places(file, &fs::read_to_string(&path).unwrap()));
    }

    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## User code\n\n");
    let mut unused: Vec<_> = CALLBACKS.iter().map(|row| (row.1, row.2, row.0)).collect();
    for place in &all {
        let Kind::UserCode(line) = &place.kind else {
            continue;
        };
        let Place { file, item, .. } = place;
        let row = CALLBACKS
            .iter()
            .find(|row| row.0 == file && (row.1 == item || row.1 == "*") && line.contains(row.2));
        let Some((_, at, part, why, tests)) = row else {
            panic!("{file}, {item}: no row for the user code of `{line}`");
        };
        let any = *at == "*";
        if any && !unused.contains(&(*at, *part, file.as_str())) {
            continue;
        }
        unused.retain(|row| row != &(*at, *part, file.as_str()));
        if any {
            writeln!(page, "- `{file}`, each `{part}`").unwrap();
        } else {
            writeln!(page, "- `{file}`, `{item}`: `{line}`").unwrap();
        }
        writeln!(page, "  - {why}").unwrap();
        if !tests.is_empty() {
            exist(tests);
            writeln!(page, "  - Tests: {}", quoted(tests)).unwrap();
        }
    }
    assert!(unused.is_empty(), "rows without user code: {unused:?}");

    page.push_str("\n## Destructors\n\n");
    let drops = all.iter().filter(|place| matches!(place.kind, Kind::Drop));
    let drops: Vec<_> = drops.collect();
    assert_eq!(drops.len(), DROPS.len(), "rows of destructors");
    for Place { file, item, .. } in drops {
        let row = DROPS.iter().find(|row| item.contains(row.0));
        let (_, what, tests) = row.unwrap_or_else(|| panic!("no row for {item}"));
        exist(tests);
        writeln!(page, "- `{file}`, `{item}`: {what}").unwrap();
        writeln!(page, "  - Tests: {}", quoted(tests)).unwrap();
    }

    page.push_str("\n## Unsafe code\n");
    let mut last = "";
    for Place { file, item, kind } in &all {
        let Kind::Unsafe(what, argument) = kind else {
            continue;
        };
        if file != last {
            let row = FILES.iter().find(|row| row.0 == file).map(|row| row.1);
            let row = row.or(file.starts_with("arch/").then_some(STUBS));
            let tests = row.unwrap_or_else(|| panic!("no row of tests for {file}"));
            exist(tests);
            writeln!(page, "\n### {file}\n\nTests: {}\n", quoted(tests)).unwrap();
            last = file;
        }
        writeln!(page, "- `{item}`, {what}: {argument}").unwrap();
    }
    for (file, _) in FILES {
        let used = all
            .iter()
            .any(|place| place.file == *file && matches!(place.kind, Kind::Unsafe(..)));
        assert!(used, "no unsafe code in {file}");
    }
    page
}

#[test]
fn the_page_lists_every_place() {
    let (page, path) = (page(), root().join("docs/unsafe.md"));
    if std::env::var_os("UNSAFE_LIST").is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    let old = fs::read_to_string(&path).unwrap_or_default();
    for (number, (old, new)) in old.lines().zip(page.lines()).enumerate() {
        assert_eq!(
            old,
            new,
            "docs/unsafe.md:{}: see the top of this test",
            number + 1
        );
    }
    assert!(old == page, "docs/unsafe.md has other lines at its end");
}
