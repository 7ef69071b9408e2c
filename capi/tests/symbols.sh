# Verifies the symbols and sections of the libraries, as a linker and a loader read
# them. Sourced by `run`.

same_symbols() {
    # The library of newer Debian releases has a version node that is empty on 64 bits.
    diff <(exported "$2" | grep -vx 'DO  LIBAIO_0.6') <(exported "$1") || return
    echo "note: $(exported "$1" | grep -c DF) functions"
}

# On 32 bits that node has two functions.
same_symbols_32() {
    diff <(exported "$2") <(exported "$1" | grep -v LIBAIO_0.6) || return
    diff <(exported "$1" | grep LIBAIO_0.6) - <<'NODE'
DF io_getevents_time64 LIBAIO_0.6
DF io_pgetevents_time64 LIBAIO_0.6
DO  LIBAIO_0.6
NODE
}

# Verifies that new programs are not linked with the old symbol versions.
old_generation() {
    diff - <(objdump -T "$1" | sed -n 's/.*(\(LIBAIO_0.1\)) *\(.*\)/\2 \1/p' | sort) <<'OLD'
io_cancel LIBAIO_0.1
io_getevents LIBAIO_0.1
io_queue_wait LIBAIO_0.1
OLD
}

# Verifies that the library has no dependency, no undefined symbol, no relocation, no
# initializer or finalizer, no thread-local storage and no writable data.
self_contained() {
    local dynamic segments
    dynamic=$(readelf -dW "$1") && segments=$(readelf -lW "$1") || return
    grep -q "SONAME.*\[$2\]" <<<"$dynamic" || return
    ! grep -E 'NEEDED|INIT|FINI|\((REL|RELA|JMPREL|TEXTREL)\)' <<<"$dynamic" || return
    ! grep -E '^ *TLS|RWE' <<<"$segments" || return
    ! readelf --dyn-syms -W "$1" | awk '$7 == "UND" && $8 != ""' | grep . || return
    ! readelf -SW "$1" | grep -E '\.(data|bss|tdata|tbss) ' | grep -v ' 000000 ' || return
    echo "note: $(stat -Lc %s "$1") bytes"
}

# Verifies that the archive defines exactly the names of libaio and that nothing is
# undefined.
archive() {
    local names undefined
    names=$(nm -g --defined-only "$1" | sed -n 's/.* T //p' | sort)
    undefined=$(nm -u "$1" | sed -n 's/^ *U //p' | grep -vx _GLOBAL_OFFSET_TABLE_)
    if [ -n "$undefined" ]; then
        echo "undefined: $undefined"
        return 1
    fi
    diff <(objdump -T "$2" | grep ' DF ' | grep -v '(LIBAIO_0.1)' | awk '{ print $NF }' | sort) <(echo "$names")
}

# Links for an architecture whose objects reference additional symbols. The result is
# not run.
armv7() {
    local folder=$work/armv7
    (
        . tests/ci/cross.sh
        use_library || exit
        "$capi_install" --target armv7-unknown-linux-gnueabihf --cc arm-linux-gnueabihf-gcc \
            --destdir "$folder" -- -Zbuild-std=core
    ) || return
    [ "$(readelf --dyn-syms -W "$folder/usr/local/lib/libaio.so" | grep -c ' io_.*@LIBAIO_0')" = 15 ] || return
    [ -z "$(arm-linux-gnueabihf-nm -u "$folder/usr/local/lib/libaio.a" | grep -v :)" ] || return
    self_contained "$folder/usr/local/lib/libaio.so" libaio.so.1
}

# Verifies that the library is found by both of Debian's names, and that --t64 makes the
# second its soname.
two_names() {
    local folder=$work/t64
    [ "$ours/lib/libaio.so.1t64" -ef "$ours/lib/libaio.so.1" ] || return
    "$capi_install" --t64 --prefix /usr --libdir lib/somewhere --destdir "$folder" || return
    self_contained "$folder/usr/lib/somewhere/libaio.so" libaio.so.1t64
}

# Builds a program with the flags of pkg-config only.
pkg_config() {
    local flags
    flags=$(PKG_CONFIG_PATH=$ours/lib/pkgconfig pkg-config --define-variable=prefix="$ours" --cflags --libs libaio) || return
    # shellcheck disable=SC2086 # words
    gcc -Wall -DOLD "$programs/differential.c" $flags -o "$work/pkg-config" || return
    readelf -d "$work/pkg-config" | grep 'NEEDED.*libaio.so.1'
}

check "symbols as the reference's" same_symbols "$ours/lib/libaio.so" "$ref_so"
check "symbols, i686" same_symbols_32 "$ours32/lib/libaio.so" "$ref32/libaio.so.1"
check "the old generation is not the default" old_generation "$ours/lib/libaio.so"
check "the old generation, i686" old_generation "$ours32/lib/libaio.so"
check "the library needs nothing" self_contained "$ours/lib/libaio.so" libaio.so.1
check "the library needs nothing, i686" self_contained "$ours32/lib/libaio.so" libaio.so.1
check "the archive needs nothing" archive "$ours/lib/libaio.a" "$ours/lib/libaio.so"
check "the archive needs nothing, i686" archive "$ours32/lib/libaio.a" "$ours32/lib/libaio.so"
check "linked for armv7" armv7
check "libaio.so.1t64" two_names
check "pkg-config" pkg_config
