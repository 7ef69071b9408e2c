# Builds for targets whose core and std are built from source. Sourced; needs
# $target, $logs, $feature_sets.

# use_library: the sources and their compiler, as `cargo qemu` finds them.
use_library() {
    local found
    found=$(cargo qemu library) || return
    eval "$found"
    # The first names the sources without a change in the toolchain's folder;
    # it is cargo's own test hook.
    export __CARGO_TESTS_ONLY_SRC_ROOT=$library RUSTC_BOOTSTRAP=1 RUSTC=$compiler
    export CARGO_TARGET_DIR=$target/from-source
}

# One check of the library; a warning in it fails, as `lint` has it.
check() {
    CARGO_BUILD_WARNINGS=deny cargo check --locked -Zwarnings -p linux-aio --lib "$@"
}

# The library alone, with the sets of features that want no std. (With std it is
# built for the targets of the tests below.)
cross_check() {
    local set
    use_library || return
    for set in "" sc rt alloc; do
        check --target "$1" -Zbuild-std=core,alloc --features "$set" || return
    done
}

# The same, and the tool as one static file.
cross_linux() {
    local linker name
    cross_check "$1" || return
    linker=$("$(rustup which rustc 2>/dev/null || command -v rustc)" --print sysroot)/lib/rustlib/$host/bin/rust-lld
    [ -x "$linker" ] || linker=rust-lld
    name=${1^^}
    export "CARGO_TARGET_${name//-/_}_LINKER=$linker"
    export "CARGO_TARGET_${name//-/_}_RUSTFLAGS=-Clinker-flavor=ld.lld -Crelocation-model=static"
    cargo build --locked --profile aio -p aio --target "$1" -Zbuild-std=core || return
    static_elf "$CARGO_TARGET_DIR/$1/aio/aio" "$2" || return
    case $1 in i686-*) i686_tool "$CARGO_TARGET_DIR/$1/aio/aio" ;; esac
}

# The 32-bit tool on this x86_64 kernel: what it copies is the same.
i686_tool() {
    local copy=$CARGO_TARGET_DIR/i686-copy
    rm -f "$copy"
    "$1" probe && "$1" copy "$1" "$copy" && cmp "$1" "$copy"
}

# No operating system: the library without the sets that need one.
cross_bare() {
    local set
    use_library || return
    for set in "" sc; do
        check --target "$1" -Zbuild-std=core --features "$set" || return
    done
}

# std_tests TARGET ARGUMENT...: cargo's tests with std from source. Tests
# unwind whatever the profile says, and two builds of core do not mix: so all
# unwinds here.
std_tests() {
    local to=$1
    shift
    use_library || return
    export CARGO_PROFILE_DEV_PANIC=unwind CARGO_TARGET_DIR=$target/std-tests
    cargo test --locked --no-fail-fast --target "$to" -Zbuild-std=std,panic_abort,test "$@"
}

# A 32-bit test run on an x86_64 kernel: the C library comes static from the
# cross compiler's package.
i686_tests() {
    export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=i686-linux-gnu-gcc
    export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Ctarget-feature=+crt-static
    export RUSTDOCFLAGS=-Ctarget-feature=+crt-static
    std_tests i686-unknown-linux-gnu "$@"
}

# Under QEMU's user mode, where AIO is absent: the tests that do without it.
# The layouts are those of the target's own C compiler.
emulated_tests() {
    QEMU_USER=$(cargo qemu emulators) || return
    export QEMU_USER TARGET_CC=$2
    # Some go through every alignment, which takes an emulator its time.
    std_tests "$1" --config profile.dev.package.linux-aio.opt-level=1 -p linux-aio --all-features --lib --test syscall --test layout
}
