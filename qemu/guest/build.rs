//! Tells the linker that the program is everything.

include!("../../link/static.rs");

fn main() {
    // The linkers' default on MIPS is another name.
    link_static(&["--entry=_start".to_owned()]);
}
