//! Rings and events that no kernel produces: the programs of the fuzz targets, also run
//! by a test with random bytes in place of a fuzzer.

pub mod events;
pub mod ring;

/// The fuzzer's bytes, consumed one after the other. Yields zeros after the last one.
struct Source<'d> {
    bytes: &'d [u8],
}

impl Source<'_> {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((&first, rest)) => {
                self.bytes = rest;
                first
            }
            None => 0,
        }
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([0; 4].map(|_: u8| self.byte()))
    }

    fn long(&mut self) -> u64 {
        u64::from(self.word()) << 32 | u64::from(self.word())
    }

    /// Returns a number below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }
}
