//! Links `aio` without libc, as a static program, and prepares its texts.

include!("text.rs");

fn main() {
    linux_aio_build::link_static();
    write_syscalls();
}
