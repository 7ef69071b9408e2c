//! Tells the linker that `aio` is everything.

include!("link.rs");

fn main() {
    link_static(".");
}
