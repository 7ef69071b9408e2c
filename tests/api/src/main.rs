//! Reads a rustdoc JSON file, and prints the public items, one a line, or those whose
//! documentation has no example.

mod examples;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match &arguments[..] {
        [what, path] if what == "items" => items(path.as_ref()),
        [what, path] if what == "examples" => examples::check(path.as_ref()),
        _ => {
            eprintln!("usage: api items RUSTDOC.json\n       api examples RUSTDOC.json");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("api: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the public items. Those that every type has (auto traits, derives and blanket
/// implementations) are left out, and so are the pages of the guide, which have no items.
fn items(path: &Path) -> Result<(), String> {
    let items = public_api::Builder::from_rustdoc_json(path)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .omit_blanket_impls(true)
        .build()
        .map_err(|error| error.to_string())?;
    let items = items.items().map(ToString::to_string);
    for item in items.filter(|item| !item.starts_with("pub mod linux_aio::guide")) {
        println!("{item}");
    }
    Ok(())
}
