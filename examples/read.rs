//! Reads two parts of a file at the same time, into borrowed buffers:
//! `cargo run --features std --example read -- FILE`

use std::fs::File;
use std::io;

use linux_aio::{Errno, ScopeSlot, scope};

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).expect("the name of a file");
    let file = File::open(name)?;
    let (mut first, mut second) = ([0; 16], [0; 16]);

    let (a, b) = scope(&mut ScopeSlot::array::<2>(), |s| {
        // Each push fails only if every slot is taken, and there are two.
        let a = s.read(&file, &mut first, 0).unwrap();
        let b = s.read(&file, &mut second, 16).unwrap();
        // The first wait submits both with one system call.
        Ok::<_, Errno>((a.wait().result?, b.wait().result?))
    })??;

    // A read at the end of the file returns fewer bytes, or 0.
    println!("{a} bytes: {}", first[..a].escape_ascii());
    println!("{b} bytes: {}", second[..b].escape_ascii());
    Ok(())
}
