// What the build scripts of programs without libc tell the linker. Each
// `include!`s this file: a build script cannot depend on another's code
// without a package between them.

/// The program is everything: no start files, no libraries, no dynamic loader,
/// a fixed address; and nothing in it that nobody reads. `folder` is the one of
/// this file, from the package's.
///
/// rustc links through a C compiler (natively), or calls a linker itself (in
/// cross builds, `rust-lld`). Both understand the same three words; the
/// others would stop one of the two. Which one it is, rustc decides by the
/// linker's file name, and so does this.
fn link_static(folder: &str) {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo::rerun-if-changed={folder}/link.ld");

    let script = std::env::current_dir().unwrap().join(folder).join("link.ld");
    // For the linker itself.
    let inner = [
        // The default on MIPS is another name.
        "--entry=_start".to_owned(),
        // Code and constants share pages: fewer paddings.
        "-znoseparate-code".to_owned(),
        "--build-id=none".to_owned(),
        "--no-eh-frame-hdr".to_owned(),
        // Nobody would make relocated data read-only: nothing relocates it.
        "-znorelro".to_owned(),
        format!("--script={}", script.display()),
    ];
    // rustc asks for a position-independent executable first; the last word
    // counts.
    let mut words = ["-nostdlib", "-static", "-no-pie"]
        .map(str::to_owned)
        .to_vec();
    if bare_linker() {
        words.extend(inner);
    } else {
        words.push("-nostartfiles".to_owned());
        words.extend(inner.map(|word| format!("-Wl,{word}")));
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
