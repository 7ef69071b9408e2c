# Builds for targets whose core and std are rustup's, or built from source. Sourced; needs
# $target, $logs, $host, $feature_sets.

# use_library: sets the sources and their compiler, as `cargo qemu` finds them.
use_library() {
    local found
    found=$(cargo qemu library) || return
    eval "$found"
    # The first variable is cargo's test hook: it names the sources without a change in
    # the toolchain's folder.
    export __CARGO_TESTS_ONLY_SRC_ROOT=$library RUSTC_BOOTSTRAP=1 RUSTC=$compiler
    export CARGO_TARGET_DIR=$target/from-source
}

# use_target TARGET PARTS [FLAG...]: has cargo build for a target with rustup's library. Where
# that cannot be had, or RUST_SRC is set, PARTS of it are built from source: $parts is
# cargo's option for that. FLAGs are rustc's.
use_target() {
    local to=$1 build=$2 prebuilt= flags
    shift 2
    parts=("-Zbuild-std=$build") flags=$*
    [ -n "${RUST_SRC:-}" ] || prebuilt=$(cargo qemu sysroot "$to") || prebuilt=
    # Some tests build for other targets.
    use_library || return
    if [ -n "$prebuilt" ]; then
        parts=()
        export CARGO_TARGET_DIR=$target/cross RUSTC=$prebuilt/rustc
    fi
    to=${to^^}
    export "CARGO_TARGET_${to//-/_}_RUSTFLAGS=$flags"
    export RUSTDOCFLAGS="${prebuilt:+--sysroot=$prebuilt }$flags"
}

# Checks the library once; a warning fails, as in `lint`.
check() {
    CARGO_BUILD_WARNINGS=deny cargo check --locked -Zwarnings -p linux-aio --lib "$@"
}

# cross_check TARGET [FLAG...]: checks the library alone, with the sets of features that need
# no std. (With std it is built for the targets of the tests below.)
cross_check() {
    local set
    use_target "$1" core,alloc "${@:2}" || return
    for set in "" sc rt alloc; do
        check --target "$1" "${parts[@]}" --features "$set" || return
    done
}

# Checks the library, and builds the tool as one static file.
cross_linux() {
    local linker name
    cross_check "$1" -Clinker-flavor=ld.lld -Crelocation-model=static || return
    linker=$("$(rustup which rustc 2>/dev/null || command -v rustc)" --print sysroot)/lib/rustlib/$host/bin/rust-lld
    [ -x "$linker" ] || linker=rust-lld
    name=${1^^}
    export "CARGO_TARGET_${name//-/_}_LINKER=$linker"
    cargo build --locked --profile aio -p aio --target "$1" "${parts[@]}" || return
    static_elf "$CARGO_TARGET_DIR/$1/aio/aio" "$2" || return
    case $1 in i686-*) i686_tool "$CARGO_TARGET_DIR/$1/aio/aio" ;; esac
}

# Verifies that the 32-bit tool copies correctly on this x86_64 kernel.
i686_tool() {
    local copy=$CARGO_TARGET_DIR/i686-copy
    rm -f "$copy"
    "$1" probe && "$1" copy "$1" "$copy" && cmp "$1" "$copy"
}

# Checks the library without an operating system, without the sets that need one.
cross_bare() {
    local set
    use_target "$1" core || return
    for set in "" sc; do
        check --target "$1" "${parts[@]}" --features "$set" || return
    done
}

# std_tests TARGET ARGUMENT...: runs cargo's tests. The C library is linked statically, from
# the cross compiler's package. Tests unwind whatever the profile sets, and two builds of
# core cannot be combined. So all crates unwind here.
std_tests() {
    local to=$1
    shift
    use_target "$to" std,panic_abort,test -Ctarget-feature=+crt-static || return
    export CARGO_PROFILE_DEV_PANIC=unwind CARGO_TARGET_DIR=$target/std-tests
    cargo test --locked --no-fail-fast --target "$to" "${parts[@]}" "$@"
}

# Runs 32-bit tests on an x86_64 kernel.
i686_tests() {
    export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=i686-linux-gnu-gcc
    std_tests i686-unknown-linux-gnu "$@"
}

# Runs the tests that need no AIO under QEMU's user mode, where it is absent. The
# layouts are compared with those of the target's own C compiler.
emulated_tests() {
    QEMU_USER=$(cargo qemu emulators) || return
    export QEMU_USER TARGET_CC=$2
    # Some tests cover every alignment, which is slow in an emulator.
    std_tests "$1" --config profile.dev.package.linux-aio.opt-level=1 -p linux-aio --all-features --lib --test syscall --test layout
}
