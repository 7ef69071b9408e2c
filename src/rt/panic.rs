//! What a panic does in a program without the standard library.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{exit, write_all};

/// The exit status of the standard library's panics.
const STATUS: i32 = 101;

/// A panic message that itself panics must not go round in circles.
static PANICKING: AtomicBool = AtomicBool::new(false);

/// Writes where and why the program panicked to standard error, and exits with
/// status 101. [`panic_handler!`](crate::rt::panic_handler) calls it.
///
/// If what the message shows panics in its turn, only that second place is
/// named. Whether anything could be written makes no difference.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    let mut message = Message {
        bytes: [0; 512],
        filled: 0,
    };
    // Load and store, not a swap, which some targets lack: two threads may
    // both write, which is no harm.
    let _ = if !PANICKING.load(Ordering::Relaxed) {
        PANICKING.store(true, Ordering::Relaxed);
        writeln!(message, "{info}")
    } else if let Some(location) = info.location() {
        writeln!(message, "panicked at {location}, in a panic's message")
    } else {
        Ok(())
    };
    message.flush();
    exit(STATUS)
}

/// Gathers the many small pieces of a formatted message, so that it is one
/// write, and does not mix with what other processes write.
struct Message {
    bytes: [u8; 512],
    filled: usize,
}

impl Message {
    fn flush(&mut self) {
        let (filled, _) = self.bytes.split_at(self.filled);
        let _ = write_all(2, filled);
        self.filled = 0;
    }
}

impl Write for Message {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for &byte in s.as_bytes() {
            if self.filled == self.bytes.len() {
                self.flush();
            }
            if let Some(slot) = self.bytes.get_mut(self.filled) {
                *slot = byte;
                self.filled += 1;
            }
        }
        Ok(())
    }
}
