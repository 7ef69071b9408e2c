//! Sets the linker arguments of a program without the standard library.

include!("../../aio/link.rs");

fn main() {
    link_static("../../aio");
}
