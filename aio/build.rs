//! Links `aio` without libc, as a static program, and prepares its texts.

include!("text.rs");

fn main() {
    linux_aio_build::link_static();
    write_syscalls();
    let of = |name| std::env::var(name).unwrap_or_default();
    // `cargo install` takes the profile `release` unless another one is named.
    if of("PROFILE") == "release" && of("OPT_LEVEL") != "z" {
        println!("cargo::warning=`--profile aio` builds a smaller program");
    }
}
