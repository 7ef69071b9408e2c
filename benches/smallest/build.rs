//! Links the programs without libc, in the form that the features select: the smallest one
//! is compact and at a fixed address.

fn main() {
    let mut link = linux_aio_build::Link::from_cargo();
    if !cfg!(feature = "position-independent") {
        link = link.fixed_address();
    }
    if !cfg!(feature = "section-headers") {
        link = link.compact();
    }
    link.emit();
}
