# The tests of the safe layers under the compiler's sanitizers. Sourced; needs
# $target, $host and use_library.

# The tests: the layers, the ring and the context, and all user code. (`unreadable` is
# excluded, as it writes to a ring: the thread sanitizer does not detect that the kernel
# passes the address to another thread in between.)
sanitized=(
    context idle_context owned queue reactor ring scope shared shares split submission
    user_code wait_idle
)

# sanitizer NAME: runs these tests, instrumented. For the thread and the memory
# sanitizer every crate is instrumented, the standard library included: its locks order
# threads, and its writes initialise memory. The address sanitizer intercepts the
# allocator and the functions that copy memory. The library is built without its
# backtraces, whose crates are a fifth of it.
#
# The sanitizers do not detect accesses by the kernel, which is entered by a bare system
# call instruction. The kernel reads and writes only memory that is already initialised
# (a ring is mapped, and so zero), so the memory sanitizer reports no errors for these
# accesses.
#
# The tests are not optimised, which would take most of the time.
sanitizer() {
    local std=()
    use_library || return
    [ "$1" = address ] || std=(-Zbuild-std=std,panic_unwind,test -Zbuild-std-features=panic-unwind)
    export CARGO_TARGET_DIR=$target/sanitizers/$1 CARGO_PROFILE_DEV_PANIC=unwind
    # Queues and futures are leaked intentionally.
    export ASAN_OPTIONS=detect_leaks=0 RUSTFLAGS=-Zsanitizer=$1
    # With an explicit target, build scripts are built without these flags.
    cargo test --locked --no-fail-fast --target "$host" "${std[@]}" \
        -p linux-aio --features std "${sanitized[@]/#/--test=}"
}
