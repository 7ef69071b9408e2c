//! The checksum of `cksum(1)`, so that the result can be compared.

/// A CRC of the bytes and of their number.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    crc: u32,
    pub(crate) bytes: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc = bytes.iter().fold(self.crc, |crc, &byte| step(crc, byte));
    }

    pub(crate) fn value(&self) -> u32 {
        let (mut crc, mut bytes) = (self.crc, self.bytes);
        while bytes != 0 {
            crc = step(crc, bytes as u8);
            bytes >>= 8;
        }
        !crc
    }
}

fn step(crc: u32, byte: u8) -> u32 {
    (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
        let carry = crc >> 31;
        (crc << 1) ^ (carry * 0x04c1_1db7)
    })
}
