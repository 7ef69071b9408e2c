//! Links `aio` without libc, as a static program, and prepares its texts.

include!("link.rs");
include!("text.rs");

fn main() {
    link_static(".");
    write_syscalls();
}
