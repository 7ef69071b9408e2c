//! Tells the linker that the program is everything.

fn main() {
    linux_aio_build::link_static();
}
