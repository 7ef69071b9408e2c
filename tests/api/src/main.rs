//! Prints the public items in the rustdoc JSON file given as the argument, one a line.
//! Items that every type has (auto traits, derives and blanket implementations) are
//! left out, and so are the pages of the guide, which have no items.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: api RUSTDOC.json");
        return ExitCode::from(2);
    };
    let items = public_api::Builder::from_rustdoc_json(path)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .omit_blanket_impls(true)
        .build();
    match items {
        Ok(items) => {
            let items = items.items().map(ToString::to_string);
            for item in items.filter(|item| !item.starts_with("pub mod linux_aio::guide")) {
                println!("{item}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("api: {error}");
            ExitCode::FAILURE
        }
    }
}
