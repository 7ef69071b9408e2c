# Verifies the symbols and sections of the libraries, as a linker and a loader read
# them. Sourced by `run`.

# same_symbols LIBRARY REFERENCE: compares with Debian 13's library. Debian 12's lacks only
# the last version node, and on 32 bits its functions.
same_symbols() {
    diff <(exported "$2") <(exported "$1") || return
    echo "note: $(exported "$1" | grep -c DF) functions"
}
same_symbols_12() {
    diff <(exported "$2") <(exported "$1" | grep -v ' LIBAIO_0.6$')
}

# Verifies that new programs are not linked with the old symbol versions.
old_generation() {
    diff - <(objdump -T "$1" | sed -n 's/.*(\(LIBAIO_0.1\)) *\(.*\)/\2 \1/p' | sort) <<'OLD'
io_cancel LIBAIO_0.1
io_getevents LIBAIO_0.1
io_queue_wait LIBAIO_0.1
OLD
}

# Verifies that the library has no dependency, no undefined symbol, no relocation but those
# of the calls that can be interposed, no initializer or finalizer, no thread-local
# storage, no symbol table, and no writable data (on i386, only the address by which each
# function enters the kernel).
self_contained() {
    local dynamic segments data=data\|bss
    dynamic=$(readelf -dW "$1") && segments=$(readelf -lW "$1") || return
    grep -q "SONAME.*\[$2\]" <<<"$dynamic" || return
    ! grep -E 'NEEDED|INIT|FINI|TEXTREL' <<<"$dynamic" || return
    # On MIPS these have no relocation, but a place in the global offset table.
    [ "$(relocated "$1")" = "io_cancel io_destroy io_getevents io_setup" ] ||
        grep -q MIPS_GOTSYM <<<"$dynamic" || return
    ! readelf -SW "$1" | grep -F .symtab || return
    ! grep -E '^ *TLS|RWE' <<<"$segments" || return
    ! readelf --dyn-syms -W "$1" | awk '$7 == "UND" && $8 != ""' | grep . || return
    ! readelf -hW "$1" | grep -q 'Intel 80386' || data=data
    ! readelf -SW "$1" | grep -E "\.($data|tdata|tbss) " | grep -v ' 000000 ' || return
    echo "note: $(stat -Lc %s "$1") bytes"
}

# Prints the symbols with a relocation in the library.
relocated() {
    readelf -rW "$1" | grep -oE 'io_[a-z_]+@' | sort -u | tr -d @ | xargs
}

# Verifies that the archive defines exactly the names of libaio, each in an object of its
# own, and that nothing else is undefined than functions of the archive.
archive() {
    local names undefined
    names=$(readelf -sW "$1" | sed 's/\[<.*>: .*\]//' | awk '$5 == "GLOBAL" && $7 != "UND" { print $8 }' | sort)
    undefined=$(readelf -sW "$1" | sed 's/\[<.*>: .*\]//' | awk '$5 == "GLOBAL" && $7 == "UND" { print $8 }' |
        grep -vxE '_GLOBAL_OFFSET_TABLE_|\.TOC\.|_gp_disp|io_setup|io_destroy|io_getevents')
    if [ -n "$undefined" ]; then
        echo "undefined: $undefined"
        return 1
    fi
    [ "$(ar t "$1" | wc -l)" = "$(wc -l <<<"$names")" ] || return
    diff <(readelf --dyn-syms -W "${1%.a}.so" | grep -oE 'io_[a-z0-9_]+@@' | tr -d @ | sort) <(echo "$names")
}

# Verifies that each name is a file of its own, and that new programs are linked with the
# second one after --t64.
two_names() {
    local folder=$work/t64
    self_contained "$ours/lib/libaio.so.1t64" libaio.so.1t64 || return
    cmp <(exported "$ours/lib/libaio.so.1t64") <(exported "$ours/lib/libaio.so.1") || return
    [ "$ours/lib/libaio.so" -ef "$ours/lib/libaio.so.1" ] || return
    rm -rf "$folder"
    "$capi_install" --t64 --prefix /usr --libdir lib/somewhere --destdir "$folder" || return
    [ "$folder/usr/lib/somewhere/libaio.so" -ef "$folder/usr/lib/somewhere/libaio.so.1t64" ]
}

# Verifies that ldconfig registers both names, each with its own file.
cached() {
    local root=$work/ldconfig
    rm -rf "$root"
    mkdir -p "$root/etc"
    cp -r "${ours%/usr/local}/usr" "$root"
    echo /usr/local/lib >"$root/etc/ld.so.conf"
    /sbin/ldconfig -r "$root" || return
    /sbin/ldconfig -r "$root" -p | sed -n 's/^\t\(libaio[^ ]*\) .* => /\1 /p' | sort >"$root/cached"
    diff "$root/cached" - <<'CACHED' || return
libaio.so /usr/local/lib/libaio.so
libaio.so.1 /usr/local/lib/libaio.so.1
libaio.so.1t64 /usr/local/lib/libaio.so.1t64
CACHED
    [ "$(readlink "$root/usr/local/lib/libaio.so.1t64")" = libaio.so.1t64.0.2 ]
}

# Verifies that the note for IBT and shadow stacks is true: every exported function begins
# with a landing pad, and every object of the archive has the note.
landing_pads() {
    local library=$ours/lib/libaio.so.1 functions pads
    readelf -nW "$library" | grep 'x86 feature: IBT, SHSTK' || return
    functions=$(objdump -d --no-show-raw-insn "$library" | grep -c '^[0-9a-f]* <io_[a-z_]*@*LIBAIO_0.[0-9]>:')
    pads=$(objdump -d --no-show-raw-insn "$library" | grep -A1 '^[0-9a-f]* <io_[a-z_]*@*LIBAIO_0.[0-9]>:' | grep -c endbr64)
    [ "$functions" = 13 ] && [ "$pads" = 13 ] || return
    # No branch goes to an address from a table, which would need a pad at each.
    ! objdump -d --no-show-raw-insn "$library" | grep -E 'jmp +\*(%|.*\(.*,)' || return
    echo 'int io_setup(int, void **); int main(void) { void *c = 0; return io_setup(0, &c) == 0; }' |
        gcc -fcf-protection=full -Wl,-z,cet-report=warning -xc - -xnone "$ours/lib/libaio.a" -o "$work/cet" 2>"$work/cet.log" || return
    ! grep libaio "$work/cet.log"
}

# Verifies that a debugger finds the symbols by the build id.
debug_file() {
    local id
    id=$(readelf -nW "$ours/lib/$1" | sed -n 's/.*Build ID: //p')
    nm "$ours/lib/debug/.build-id/${id:0:2}/${id:2}.debug" | grep ' T io_queue_run'
}

# Verifies that the installer lists, replaces and removes its own files and no others.
installer() {
    local root=$work/installer
    rm -rf "$root"
    ! "$capi_install" --list || return
    "$capi_install" --destdir "$root" --list >"$root.list" || return
    [ ! -e "$root" ] || return
    mkdir -p "$root/usr/local/lib/linux"
    "$capi_install" --destdir "$root" || return
    "$capi_install" --destdir "$root" || return
    diff "$root.list" <(cd "$root" && find . ! -type d | sed 's/^\.//' | sort) || return
    [ -z "$(find "$root" -type f -perm /111)" ] || return
    "$capi_install" --destdir "$root" --uninstall || return
    [ -z "$(find "$root" ! -type d)" ] || return
    [ ! -e "$root/usr/local/share/doc/linux-aio-capi" ] && [ -d "$root/usr/local/lib/linux" ] || return
    ! "$capi_install" --destdir "$root" --uninstall || return
    echo theirs >"$root/usr/local/lib/libaio.so.1"
    ! "$capi_install" --destdir "$root" || return
    [ "$(cat "$root/usr/local/lib/libaio.so.1")" = theirs ] && [ ! -e "$root/usr/local/lib/libaio.a" ] || return
    "$capi_install" --destdir "$root" --force || return
    # A list of files that names one elsewhere is refused.
    echo elsewhere >"$root/elsewhere"
    echo /usr/local/../../elsewhere >>"$root/usr/local/share/doc/linux-aio-capi/files"
    ! "$capi_install" --destdir "$root" --uninstall || return
    [ -e "$root/elsewhere" ] && [ -e "$root/usr/local/lib/libaio.a" ]
}

# Verifies that the manual pages format without warnings.
manual() {
    local page
    [ "$(ls capi/man | wc -l)" = 13 ] || return
    for page in capi/man/*; do
        man --warnings -Tutf8 -l "$page" 2>&1 >"$work/page" | grep . && return 1
        [ -s "$work/page" ] || return
        cmp "$page" "$ours/share/man/man3/${page##*/}" || return
    done
    # Every page that another refers to exists, here or in section 2.
    grep -h '^\.Xr io.* 3' capi/man/* | awk '{ print $2 }' | sort -u | while read -r page; do
        [ -e "capi/man/$page.3" ] || { echo "no page $page" && return 1; }
    done
}

# Verifies that the library builds from its vendored crates, without a network, and that
# these are all.
vendored() {
    local tree=$work/vendored
    rm -rf "$tree"
    mkdir -p "$tree/copy" "$tree/cargo"
    git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$tree/copy" || return
    cargo vendor --locked --manifest-path "$tree/copy/capi/Cargo.toml" "$tree/vendor" >"$tree/config" || return
    [ "$(ls "$tree/vendor" | xargs)" = "anyhow bitflags cfg-if lexopt" ] || return
    cp "$tree/config" "$tree/cargo/config.toml"
    CARGO_HOME=$tree/cargo CARGO_TARGET_DIR=$tree/target LINUX_AIO_COPY=$tree/copy \
        "$capi_install" --destdir "$tree/installed" -- --offline || return
    cmp "$tree/installed/usr/local/lib/libaio.so.1" "$ours/lib/libaio.so.1"
}

# Verifies that two builds in different folders give the same bytes.
reproducible() {
    local tree=$work/reproducible
    rm -rf "$tree"
    mkdir -p "$tree/copy"
    git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$tree/copy" || return
    CARGO_TARGET_DIR=$tree/target LINUX_AIO_COPY=$tree/copy "$capi_install" --destdir "$tree/installed" || return
    diff -r "$tree/installed/usr/local" "$ours"
}

# Builds a program with the flags of pkg-config only.
pkg_config() {
    local flags
    flags=$(PKG_CONFIG_PATH=$ours/lib/pkgconfig pkg-config --define-variable=prefix="$ours" --cflags --libs libaio) || return
    # shellcheck disable=SC2086 # words
    gcc -Wall -DOLD "$programs/differential.c" $flags -o "$work/pkg-config" || return
    readelf -d "$work/pkg-config" | grep 'NEEDED.*libaio.so.1'
}

check "symbols as the reference's" same_symbols "$ours/lib/libaio.so" "$ref13/libaio.so.1"
check "symbols as Debian 12's" same_symbols_12 "$ours/lib/libaio.so" "$ref_so"
check "symbols, i686" same_symbols "$ours32/lib/libaio.so" "$ref13_32/libaio.so.1"
check "the old generation is not the default" old_generation "$ours/lib/libaio.so"
check "the old generation, i686" old_generation "$ours32/lib/libaio.so"
check "the library needs nothing" self_contained "$ours/lib/libaio.so.1" libaio.so.1
check "the library needs nothing, i686" self_contained "$ours32/lib/libaio.so.1" libaio.so.1
check "the archive needs nothing" archive "$ours/lib/libaio.a"
check "the archive needs nothing, i686" archive "$ours32/lib/libaio.a"
check "libaio.so.1t64" two_names
check "ldconfig takes both names" cached
check "landing pads" landing_pads
check "the debug file of libaio.so.1" debug_file libaio.so.1
check "the debug file of libaio.so.1t64" debug_file libaio.so.1t64
check "the installer" installer
check "the installer's command line" cargo test --locked --quiet --profile tool --manifest-path capi/Cargo.toml -p capi-install
check "reproducible bytes" reproducible
check "the manual pages" manual
check "built offline from four crates" vendored
check "pkg-config" pkg_config
