# The functions shared by the tests of the C interface. Sourced, in the project's
# folder.

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/capi-tests" || exit
target=$(cd "$target" && pwd)
export CARGO_TARGET_DIR=$target CARGO_TERM_COLOR=never LC_ALL=C
unset CC
work=$target/capi-tests
programs=$PWD/capi/tests/programs
passed=0 failed=0

# check NAME COMMAND...: runs one check, and prints the end of its output if it failed.
check() {
    local name=$1 log
    shift
    log=$work/logs/${name//[^A-Za-z0-9.-]/-}.log
    mkdir -p "$work/logs"
    if ("$@") >"$log" 2>&1; then
        passed=$((passed + 1))
        printf 'ok      %s%s\n' "$name" "$(sed -n 's/^note: /: /p' "$log" | tail -n 1)"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s; the last lines of %s:\n' "$name" "$log"
        tail -n 15 "$log" | sed 's/^/    | /'
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# Finds the references: Debian's binaries of libaio1 and libaio-dev with their source,
# and Debian 13's library for x86_64 and i686.
reference() {
    ref_so=$(ldconfig -p | sed -n 's/^\tlibaio\.so\.1\(t64\)\? (.*x86-64.*) => //p' | head -n 1)
    ref_a=$(gcc -print-file-name=libaio.a)
    if [ ! -f "$ref_so" ] || [ ! -f "$ref_a" ]; then
        echo "libaio-dev is not installed (tests/run tools)"
        exit 1
    fi
    source=$(cargo qemu source bookworm libaio) || exit
    debian13 amd64 x86_64 && ref13=$found || exit
    debian13 i386 i386 && ref13_32=$found || exit
}

# debian13 ARCHITECTURE CPU: sets $found to a folder with Debian 13's library, by the name
# that older programs load.
debian13() {
    local packages
    packages=$(cargo qemu package trixie "$1" libaio1t64) || return
    found=$work/debian13-$1
    mkdir -p "$found"
    ln -sf "$packages/usr/lib/$2-linux-gnu/libaio.so.1t64" "$found/libaio.so.1"
}

# Installs our library below $ours.
install_ours() {
    ours=$work/installed
    rm -rf "$ours"
    cargo build --locked --quiet --profile tool --manifest-path capi/Cargo.toml -p capi-install || exit
    capi_install=$target/tool/capi-install
    "$capi_install" --destdir "$ours" >"$work/install.log" || exit
    ours=$ours/usr/local
}

# Installs our library for i686 below $ours32, and builds a reference from source,
# because Debian's package is for another architecture.
install_i686() {
    ours32=$work/installed-i686
    rm -rf "$ours32"
    (
        . tests/ci/cross.sh
        use_target i686-unknown-linux-gnu core || exit
        "$capi_install" --target i686-unknown-linux-gnu --cc i686-linux-gnu-gcc \
            --destdir "$ours32" -- "${parts[@]}" >"$work/install-i686.log"
    ) || exit
    ours32=$ours32/usr/local
    ref32=$work/reference-i686
    if [ ! -e "$ref32/libaio.so.1" ]; then
        rm -rf "$ref32"
        cp -r "$source/src" "$ref32"
        make -s -C "$ref32" CC=i686-linux-gnu-gcc || exit
        ln -s libaio.so.1.0.2 "$ref32/libaio.so.1"
    fi
    # The loader and the C library of i686 are not at their usual paths.
    i686_run=(/usr/i686-linux-gnu/lib/ld-linux.so.2 --library-path)
}

# exported LIBRARY: prints the kind, name and version of each exported symbol.
exported() {
    objdump -T "$1" | sed -n 's/^[0-9a-f]* *g *\(D[FO]\) .*[ (]\(LIBAIO_0\.[0-9]\))\? *\(.*\)/\1 \3 \2/p' |
        sed 's/(\(.*\))/@\1/' | sort
}
