//! The disk of a machine, an image with known content.
//!
//! Each eight bytes of its first MiB encode their offset. The program writes the
//! complement to the second MiB. Both are verified after the run.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

const MIB: u64 = 1 << 20;

/// The size of the image, most of which is a hole.
const SIZE: u64 = 64 * MIB;

/// Returns the eight bytes at an offset, as this tool writes them and as the program
/// expects them. The program writes the complement to the second MiB.
fn pattern(offset: u64) -> u64 {
    offset ^ 0x5a5a_0000_a5a5_0000
}

/// Returns `length` bytes, each eight of which encode their offset.
pub(crate) fn filled(length: u64) -> Vec<u8> {
    let words = (0..length).step_by(8);
    words.flat_map(|at| pattern(at).to_le_bytes()).collect()
}

pub(crate) struct Disk {
    pub(crate) path: PathBuf,
}

impl Disk {
    /// Creates an image whose first MiB is filled.
    pub(crate) fn create(path: &Path) -> Result<Disk> {
        let mut file = File::create(path)?;
        file.write_all(&filled(MIB))?;
        file.set_len(SIZE)?;
        Ok(Disk {
            path: path.to_owned(),
        })
    }

    /// Verifies that the second MiB holds the data that the program reports as written,
    /// and that the first is unchanged.
    pub(crate) fn check(&self) -> Result<()> {
        let mut file = File::open(&self.path)?;
        let mut bytes = vec![0; 2 * MIB as usize];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut bytes)?;
        for (offset, got) in (0..).step_by(8).zip(bytes.as_chunks().0) {
            let want = if offset < MIB {
                pattern(offset)
            } else {
                !pattern(offset)
            };
            let got = u64::from_le_bytes(*got);
            ensure!(
                got == want,
                "the disk holds {got:x} at {offset:x}, not {want:x}"
            );
        }
        Ok(())
    }

    pub(crate) fn remove(self) -> Result<()> {
        Ok(fs::remove_file(self.path)?)
    }
}
