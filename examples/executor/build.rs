//! Sets the linker flags of a static program without libc.

include!("../../aio/link.rs");

fn main() {
    link_static("../../aio");
}
