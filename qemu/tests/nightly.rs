//! Verifies that the lists of architectures whose `asm!` is unstable agree.
//!
//! The lists are in `targets.toml`, in the attributes of the library and of the
//! conformance program, and in the documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

type Names = BTreeSet<String>;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).expect(path)
}

fn of_the_table() -> Names {
    let table: toml::Table = read("qemu/targets.toml").parse().unwrap();
    let rows = table["abi"].as_array().unwrap().iter();
    let nightly = rows.filter(|row| {
        row.get("nightly")
            .is_some_and(|is| is.as_bool() == Some(true))
    });
    nightly
        .map(|row| row["arch"].as_str().unwrap().to_owned())
        .collect()
}

/// Returns the architectures of the attribute that enables the feature. Release 6 of
/// MIPS is a separate architecture in rustc.
fn of_the_attribute(path: &str) -> Names {
    let source = read(path);
    let end = source
        .find("    feature(asm_experimental_arch)\n)]")
        .expect(path);
    let attributes: Vec<_> = source.split_inclusive("#![cfg_attr(").collect();
    let mut at = 0;
    let attribute = attributes.iter().find(|attribute| {
        at += attribute.len();
        at > end
    });
    let words = attribute.expect(path).split("target_arch = \"").skip(1);
    words
        .map(|word| word.split('"').next().unwrap())
        .map(|arch| match arch {
            "mips32r6" => "mips",
            "mips64r6" => "mips64",
            other => other,
        })
        .map(str::to_owned)
        .collect()
}

/// Returns the architectures of the sentence in the library's documentation.
fn of_the_documentation() -> Names {
    let text = read("src/lib.rs").replace("\n//!", "");
    let (_, list) = text.split_once("The `asm!` of ").unwrap();
    let (list, _) = list.split_once(" is not stable yet.").unwrap();
    let names = list.replace(" and ", ", ");
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_architectures_without_a_stable_asm_are_the_same_everywhere() {
    let table = of_the_table();
    assert!(table.len() > 3, "{table:?}");
    assert_eq!(of_the_attribute("src/lib.rs"), table);
    assert_eq!(of_the_attribute("qemu/guest/src/main.rs"), table);
    assert_eq!(of_the_documentation(), table);
}
