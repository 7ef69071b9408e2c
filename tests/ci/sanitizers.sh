# The tests of the safe layers under the compiler's sanitizers. Sourced; needs
# $target, $host and use_library.

# What they run: the layers, the ring and the context, and all user code. (Not
# `unreadable`, which writes to a ring: the thread sanitizer does not see that the
# kernel gives its address to another thread in between.)
sanitized=(context drained queue reactor ring scope user_code)

# sanitizer NAME: those tests, with every crate instrumented, the standard library
# included: its locks order threads, and its writes initialise memory.
#
# None of them sees what the kernel does, which comes by a bare trap. It reads and
# writes only memory that is initialised before (a ring is mapped, and so zero),
# so the memory sanitizer has nothing to report of that.
sanitizer() {
    use_library || return
    export CARGO_TARGET_DIR=$target/sanitizers
    export CARGO_PROFILE_DEV_PANIC=unwind CARGO_PROFILE_DEV_OPT_LEVEL=1
    # Queues and futures are leaked on purpose.
    export ASAN_OPTIONS=detect_leaks=0 RUSTFLAGS=-Zsanitizer=$1
    cargo test --locked --no-fail-fast --target "$host" -Zbuild-std=std,panic_unwind,test \
        -p linux-aio --features std "${sanitized[@]/#/--test=}"
}
