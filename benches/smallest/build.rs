//! Links the program without libc, at a fixed address, which is the smallest form.

fn main() {
    linux_aio_build::Link::from_cargo().fixed_address().emit();
}
