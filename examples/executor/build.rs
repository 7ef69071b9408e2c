//! Sets the linker flags of a static program without libc.

fn main() {
    linux_aio_build::link_static();
}
