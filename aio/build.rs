//! Links `aio` without libc, as a static program.

include!("link.rs");

fn main() {
    link_static(".");
}
