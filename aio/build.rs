//! Tells the linker that `aio` is everything.

include!("../link/static.rs");

fn main() {
    link_static("../link");
}
