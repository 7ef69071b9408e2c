//! [`Blocks`]: a file of small blocks, each byte of which is known.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The length of a block in bytes.
pub(crate) const SIZE: usize = 512;
const COUNT: u32 = 256;

/// A generator of numbers that only have to differ (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) % u64::from(limit)) as u32
    }
}

/// A file of blocks. The content of a block depends on the file, its position and the
/// number of times it was written. At most one operation at a time uses a block.
pub(crate) struct Blocks {
    pub(crate) file: Arc<File>,
    seed: u64,
    written: Vec<u32>,
    busy: Vec<bool>,
}

impl Blocks {
    /// Creates the file, and removes its name.
    pub(crate) fn new(seed: u64, directory: &Path) -> Blocks {
        let path = directory.join(format!("stress-{}-{seed}", std::process::id()));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        std::fs::remove_file(&path).unwrap();
        let blocks = Blocks {
            file: Arc::new(file),
            seed,
            written: vec![0; COUNT as usize],
            busy: vec![false; COUNT as usize],
        };
        let mut bytes = [0; SIZE];
        for block in 0..COUNT {
            blocks.fill(block, &mut bytes);
            blocks
                .file
                .write_all_at(&bytes, blocks.offset(block))
                .unwrap();
        }
        blocks
    }

    pub(crate) fn offset(&self, block: u32) -> u64 {
        u64::from(block) * SIZE as u64
    }

    /// Returns a block that no operation uses, and reserves it until it is given back.
    pub(crate) fn take(&mut self, random: &mut Random) -> u32 {
        let mut block = random.below(COUNT);
        while self.busy[block as usize] {
            block = (block + 1) % COUNT;
        }
        self.busy[block as usize] = true;
        block
    }

    pub(crate) fn give_back(&mut self, block: u32) {
        self.busy[block as usize] = false;
    }

    /// Fills `bytes` with the next content of the block.
    pub(crate) fn renew(&mut self, block: u32, bytes: &mut [u8]) {
        self.written[block as usize] += 1;
        self.fill(block, bytes);
    }

    fn fill(&self, block: u32, bytes: &mut [u8]) {
        for (place, word) in bytes.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&self.word(block, place).to_ne_bytes());
        }
    }

    /// Returns whether `bytes` is the last written content of the block.
    pub(crate) fn is_right(&self, block: u32, bytes: &[u8]) -> bool {
        let mut words = bytes.chunks_exact(8).enumerate();
        bytes.len() == SIZE
            && words.all(|(place, word)| word == self.word(block, place).to_ne_bytes())
    }

    fn word(&self, block: u32, place: usize) -> u64 {
        let written = u64::from(self.written[block as usize]);
        let name = self.seed << 56 | u64::from(block) << 40 | (place as u64) << 32 | written;
        name.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name >> 29
    }
}
