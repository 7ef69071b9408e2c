//! The allocator of programs with one thread: a fixed arena in the program itself.

#[cfg(not(test))]
use talc::{ClaimOnOom, Span, Talc, Talck, locking::AssumeUnlockable};

/// The size of the arena. Its pages are taken from the system when they are first used.
#[cfg(not(test))]
const ARENA: usize = 16 << 20;

#[cfg(not(test))]
static mut MEMORY: [u8; ARENA] = [0; ARENA];

#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: Talck<AssumeUnlockable, ClaimOnOom> = {
    let arena = Span::from_array((&raw const MEMORY).cast_mut());
    // SAFETY: no other code names the arena. The programs have one thread, and no signal
    // handler that allocates, so the allocator needs no lock.
    Talc::new(unsafe { ClaimOnOom::new(arena) }).lock()
};
