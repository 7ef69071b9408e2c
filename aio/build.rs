//! Tells the linker that `aio` is everything, and what it can leave out.

include!("../link/static.rs");

fn main() {
    println!("cargo::rerun-if-changed=link.ld");

    let script = std::env::current_dir().unwrap().join("link.ld");
    let script = script.display();
    link_static(&[
        // Code and constants share pages: fewer paddings.
        "-znoseparate-code".to_owned(),
        "--build-id=none".to_owned(),
        "--no-eh-frame-hdr".to_owned(),
        // Nobody would make relocated data read-only: nothing relocates it.
        "-znorelro".to_owned(),
        format!("--script={script}"),
    ]);
}
