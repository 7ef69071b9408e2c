# Builds for targets whose core and std are built from source. Sourced; needs
# rust-src.sh, $target, $logs, $feature_sets.

# use_library: the sources, looked for once a run; every step after a failed
# search fails at once.
use_library() {
    local found=$logs/library
    if [ ! -f "$found" ]; then
        rust_src || library=
        printf 'library=%q compiler=%q\n' "$library" "$compiler" >"$found"
    fi
    . "$found"
    [ -n "$library" ] || { echo "no library sources of this compiler (step: library sources)"; return 1; }
    # The first names the sources without a change in the toolchain's folder;
    # it is cargo's own test hook.
    export __CARGO_TESTS_ONLY_SRC_ROOT=$library RUSTC_BOOTSTRAP=1 RUSTC=$compiler
    export CARGO_TARGET_DIR=$target/from-source
}

# One check of the library; a warning in it fails, as `lint` has it.
check() {
    CARGO_BUILD_WARNINGS=deny cargo check --locked -Zwarnings -p linux-aio --lib "$@"
}

# The library alone, with std built from source, every set of features.
cross_check() {
    local set
    use_library || return
    for set in "${feature_sets[@]}"; do
        check --target "$1" -Zbuild-std=std,panic_abort --features "$set" || return
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

# A 32-bit test run on an x86_64 kernel: the C library comes static from the
# cross compiler's package. Tests unwind whatever the profile says, and two
# builds of core do not mix: so all unwinds here.
i686_tests() {
    use_library || return
    export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=i686-linux-gnu-gcc
    export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Ctarget-feature=+crt-static
    export RUSTDOCFLAGS=-Ctarget-feature=+crt-static CARGO_PROFILE_DEV_PANIC=unwind
    export CARGO_TARGET_DIR=$target/i686
    cargo test --locked --no-fail-fast --target i686-unknown-linux-gnu \
        -Zbuild-std=std,panic_abort,test "$@"
}
