//! Prints the public items that rustdoc's JSON (the argument) describes, one a line,
//! without those that every type has.

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
            for item in items.items() {
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
