//! Tells the linker that the program is everything.

include!("../../aio/link.rs");

fn main() {
    link_static("../../aio");
}
