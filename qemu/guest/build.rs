//! Tells the linker that the program is everything.

include!("../../link/static.rs");

fn main() {
    link_static("../../link");
}
