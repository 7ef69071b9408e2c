//! Panic handling for a program without the standard library.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{Stderr, exit, write_all};

/// The exit status of the standard library's panics.
const STATUS: i32 = 101;

/// Set by the first panic, so that a panic while its message is formatted does not
/// recurse without end.
static PANICKING: AtomicBool = AtomicBool::new(false);

/// Writes message and location of the panic to standard error, and exits with status
/// 101.
///
/// [`panic_handler!`](crate::rt::panic_handler) calls it.
///
/// If formatting the message panics in turn, only the location of the second panic is
/// written. Write errors are ignored.
///
/// # Examples
/// A handler that does something else first. A program that uses `entry!` has one already,
/// so this one uses [`start!`](crate::rt::start) and the other parts of it:
/// ```
/// use core::panic::PanicInfo;
/// use linux_aio::rt::{Stderr, panicked, write_all};
///
/// # /*
/// #[panic_handler]
/// # */
/// fn panic(info: &PanicInfo<'_>) -> ! {
///     let _ = write_all(Stderr, b"please report this:\n");
///     panicked(info)
/// }
/// ```
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    let mut message = Message {
        bytes: [0; 512],
        filled: 0,
    };
    // A load and a store replace a swap, which some targets lack. Two threads may then
    // both write, which is harmless.
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

/// A buffer that gathers the pieces of a formatted message, so that it is a single
/// write, which does not mix with the output of other processes.
struct Message {
    bytes: [u8; 512],
    filled: usize,
}

impl Message {
    fn flush(&mut self) {
        let (filled, _) = self.bytes.split_at(self.filled);
        let _ = write_all(Stderr, filled);
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
