//! Random numbers, with one sequence for each thread (xorshift).

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(1) };
}

/// Restarts this thread's sequence from a seed.
pub(crate) fn seed(seed: u64) {
    STATE.set(mixed(seed) | 1);
}

pub(crate) fn below(limit: u32) -> u32 {
    let mut state = STATE.get();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    STATE.set(state);
    ((state >> 32) % u64::from(limit)) as u32
}

/// Returns true once in `times` calls, on average.
pub(crate) fn once_in(times: u32) -> bool {
    below(times) == 0
}

/// Returns a pseudo-random hash of a number (splitmix64).
pub(crate) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
