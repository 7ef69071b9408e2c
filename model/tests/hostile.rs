//! The programs of the fuzz targets, with random bytes in place of a fuzzer.

/// Generates bytes with xorshift64, so that a program performs many steps before its
/// input is used up.
fn bytes(state: &mut u64) -> Vec<u8> {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    };
    let len = next() % 300;
    (0..len).map(|_| (next() >> 24) as u8).collect()
}

fn run(program: fn(&[u8])) {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..20_000 {
        program(&bytes(&mut state));
    }
}

#[test]
fn an_arbitrary_ring_is_read_within_its_bounds() {
    run(model::adversarial::ring::run);
}

#[test]
fn invalid_answers_complete_only_operations_in_flight() {
    run(model::adversarial::events::run);
}
