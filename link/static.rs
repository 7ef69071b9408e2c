// What the build scripts of programs without libc tell the linker. Each
// `include!`s this file: a build script cannot depend on another's code
// without a package between them.

/// The program is everything: no start files, no libraries, no dynamic loader,
/// a fixed address. `more` goes to the linker itself.
///
/// rustc links through a C compiler (natively), or calls a linker itself (in
/// cross builds, `rust-lld`). Both understand the same three words; the
/// others would stop one of the two. Which one it is, rustc decides by the
/// linker's file name, and so does this.
fn link_static(more: &[String]) {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");

    // rustc asks for a position-independent executable first; the last word
    // counts.
    let mut words = ["-nostdlib", "-static", "-no-pie"]
        .map(str::to_owned)
        .to_vec();
    if bare_linker() {
        words.extend_from_slice(more);
    } else {
        words.push("-nostartfiles".to_owned());
        words.extend(more.iter().map(|word| format!("-Wl,{word}")));
    }
    for word in words {
        println!("cargo::rustc-link-arg-bins={word}");
    }
}

/// Whether the linker is one such as `rust-lld`, and no C compiler. It can be
/// named by Cargo's configuration or by a flag of rustc.
fn bare_linker() -> bool {
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let flag = |name: &str| {
        flags
            .split('\x1f')
            .filter_map(|word| word.trim_start_matches("-C").trim().strip_prefix(name))
            .next_back()
            .map(str::to_owned)
    };
    if let Some(flavour) = flag("linker-flavor=") {
        return !flavour.contains("cc");
    }
    let Some(linker) = flag("linker=").or_else(|| std::env::var("RUSTC_LINKER").ok()) else {
        return false;
    };
    let stem = std::path::Path::new(&linker)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    stem == "ld" || stem.ends_with("-ld") || stem.ends_with("lld") || stem.starts_with("ld.")
}
