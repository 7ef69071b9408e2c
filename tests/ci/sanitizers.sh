# The tests of the safe layers under the compiler's sanitizers. Sourced; needs
# $target, $host and use_library.

# What they run: the layers, the ring and the context, and all user code. (Not
# `unreadable`, which writes to a ring: the thread sanitizer does not see that the
# kernel gives its address to another thread in between.)
sanitized=(context drained owned queue reactor ring scope user_code)

# sanitizer NAME: those tests, instrumented. For the thread and the memory
# sanitizer every crate is, the standard library included: its locks order threads,
# and its writes initialise memory. The address sanitizer has the allocator and
# what copies memory in its own hands.
#
# None of them sees what the kernel does, which comes by a bare trap. It reads and
# writes only memory that is initialised before (a ring is mapped, and so zero),
# so the memory sanitizer has nothing to report of that.
sanitizer() {
    local std=()
    use_library || return
    [ "$1" = address ] || std=(-Zbuild-std=std,panic_unwind,test)
    export CARGO_TARGET_DIR=$target/sanitizers/$1 CARGO_PROFILE_DEV_PANIC=unwind
    # Queues and futures are leaked on purpose.
    export ASAN_OPTIONS=detect_leaks=0 RUSTFLAGS=-Zsanitizer=$1
    # A target, so that build scripts are built without all that.
    cargo test --locked --no-fail-fast --target "$host" "${std[@]}" \
        --config profile.dev.package.linux-aio.opt-level=1 \
        -p linux-aio --features std "${sanitized[@]/#/--test=}"
}
