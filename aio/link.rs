// Linker arguments for programs without libc. Their build scripts `include!` this file:
// build scripts cannot share code otherwise without a package for it.

/// Links a self-contained program: no start files, no libraries, no dynamic loader, a
/// fixed address, and no unused sections. `folder` is the folder of this file, relative
/// to the package.
///
/// rustc links through a C compiler (natively), or calls a linker directly (in cross
/// builds, `rust-lld`). Both accept the same three arguments; each of the others would
/// be an error for one of the two. rustc distinguishes them by the linker's file name,
/// and so does this function.
fn link_static(folder: &str) {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo::rerun-if-changed={folder}/link.ld");

    let script = std::env::current_dir().unwrap().join(folder).join("link.ld");
    // Arguments for the linker itself.
    let inner = [
        // The default entry symbol on MIPS has another name.
        "--entry=_start".to_owned(),
        // Code and constants share pages, which needs less padding.
        "-znoseparate-code".to_owned(),
        "--build-id=none".to_owned(),
        "--no-eh-frame-hdr".to_owned(),
        // No relocations are applied at run time, so no data is made read-only after
        // them.
        "-znorelro".to_owned(),
        format!("--script={}", script.display()),
    ];
    // rustc requests a position-independent executable first; the last argument counts.
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

/// Returns whether the linker is a plain one, such as `rust-lld`, and not a C compiler.
/// Cargo's configuration or a rustc flag can name it.
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
