//! The dependencies obey deny.toml: their licences, their versions and where they come
//! from. cargo-deny checks more; this test needs nothing but cargo.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;
use toml::Value as Toml;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn deny() -> Toml {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

/// Returns the strings of a list in deny.toml.
fn list(section: &str, name: &str) -> BTreeSet<String> {
    let deny = deny();
    let all = deny[section][name].as_array().unwrap().iter();
    all.map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// Returns the packages of a workspace and their dependencies on this machine.
fn packages(manifest: &str) -> Vec<Json> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--format-version=1",
            "--filter-platform",
        ])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .arg("--manifest-path")
        .arg(root().join(manifest))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: Json = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The packages of the two workspaces that are built for use.
fn all() -> Vec<Json> {
    let mut all = packages("Cargo.toml");
    all.extend(packages("capi/Cargo.toml"));
    all
}

/// Returns whether a licence expression can be satisfied with the allowed licences. It has
/// terms, `WITH`, `AND`, `OR`, `/` (an old form of `OR`), and parentheses.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = ["(", ")", "/"]
        .iter()
        .fold(expression.to_owned(), |text, mark| {
            text.replace(mark, &format!(" {mark} "))
        });
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let value = either(&mut rest, allowed);
    assert!(rest.is_empty(), "{expression}: {rest:?}");
    value
}

fn either(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut value = both(rest, allowed);
    while let [word, after @ ..] = *rest
        && matches!(*word, "OR" | "/")
    {
        *rest = after;
        value |= both(rest, allowed);
    }
    value
}

fn both(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut value = term(rest, allowed);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        value &= term(rest, allowed);
    }
    value
}

fn term(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let value = either(rest, allowed);
            assert_eq!(rest.first(), Some(&")"));
            *rest = &rest[1..];
            value
        }
        [name, "WITH", exception, after @ ..] => {
            *rest = after;
            allowed.contains(&format!("{name} WITH {exception}"))
        }
        [name, after @ ..] => {
            *rest = after;
            allowed.contains(*name)
        }
        [] => panic!("an expression ends early"),
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let allowed = list("licenses", "allow");
    let mut used = BTreeSet::new();
    for package in all() {
        let name = &package["name"];
        let licence = package["license"].as_str();
        let licence = licence.unwrap_or_else(|| panic!("{name} states no licence"));
        assert!(satisfied(licence, &allowed), "{name}: {licence}");
        used.extend(licence.split([' ', '/', '(', ')']).map(str::to_owned));
    }
    for licence in &allowed {
        let words = licence.split(' ').all(|word| used.contains(word));
        assert!(words, "no dependency has {licence}");
    }
}

#[test]
fn licence_expressions_are_evaluated() {
    let allowed: BTreeSet<String> = ["MIT", "Zlib", "A WITH B"].map(str::to_owned).into();
    for (expression, value) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("GPL-3.0 OR MIT AND Zlib", true),
        ("MIT AND (GPL-3.0 OR X)", false),
        ("A", false),
        ("A WITH B", true),
    ] {
        assert_eq!(satisfied(expression, &allowed), value, "{expression}");
    }
}

/// A package that is published needs a version of each dependency.
#[test]
fn no_dependency_has_any_version() {
    for package in all().iter().filter(|package| package["source"].is_null()) {
        for dependency in package["dependencies"].as_array().unwrap() {
            let private = package["publish"].as_array().is_some_and(Vec::is_empty);
            let by_path = !dependency["path"].is_null();
            let any = dependency["req"] == "*";
            let name = &package["name"];
            assert!(
                !any || (private && by_path),
                "{name}: {}",
                dependency["name"]
            );
        }
    }
}

#[test]
fn every_dependency_is_from_an_allowed_registry() {
    let deny = deny();
    assert_eq!(deny["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(deny["sources"]["unknown-git"].as_str(), Some("deny"));
    let allowed = list("sources", "allow-registry");
    for lock in ["", "capi/", "fuzz/", "tokio/compare/"] {
        let path = root().join(format!("{lock}Cargo.lock"));
        let lock: Toml = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for package in lock["package"].as_array().unwrap() {
            // Those of the workspace have none.
            let Some(source) = package.get("source") else {
                continue;
            };
            let source = source.as_str().unwrap();
            let registry = source.strip_prefix("registry+").unwrap_or(source);
            assert!(allowed.contains(registry), "{}: {source}", package["name"]);
        }
    }
}
