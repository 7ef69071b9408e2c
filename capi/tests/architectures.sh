# Verifies that the libraries link for every release architecture of Debian, and that the
# symbols are those of Debian's package. Sourced by `run`, after `symbols`. amd64 and i386
# are covered there.
#
#   capi/tests/run symbols architectures        # all
#   ARCHITECTURES="riscv64 loong64" capi/tests/run symbols architectures
#
# The cross compilers are Debian's: gcc-{aarch64,powerpc64le,riscv64}-linux-gnu,
# gcc-arm-linux-gnueabi, gcc-mips64el-linux-gnuabi64 and those of `tests/run tools`.

# Debian's name, rustc's target, the C compiler, the suite and the folder of the reference.
# mips64el was released with Debian 12 last.
architectures() {
    cat <<'ROWS'
arm64 aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc trixie libaio1t64
armhf armv7-unknown-linux-gnueabihf arm-linux-gnueabihf-gcc trixie libaio1t64
armel armv5te-unknown-linux-gnueabi arm-linux-gnueabi-gcc trixie libaio1t64
ppc64el powerpc64le-unknown-linux-gnu powerpc64le-linux-gnu-gcc trixie libaio1t64
s390x s390x-unknown-linux-gnu s390x-linux-gnu-gcc trixie libaio1t64
riscv64 riscv64gc-unknown-linux-gnu riscv64-linux-gnu-gcc trixie libaio1t64
loong64 loongarch64-unknown-linux-gnu loong64 sid libaio1t64
mips64el mips64el-unknown-linux-gnuabi64 mips64el-linux-gnuabi64-gcc bookworm libaio1
ROWS
}

# Creates a substitute for a C compiler of loong64, which Debian 12 does not have: the
# installer needs only its linker. The binutils of Debian 13 run on their own C library.
loong64() {
    local packages=(binutils-loongarch64-linux-gnu libbinutils libc6 zlib1g libzstd1 libsframe1 libjansson4)
    local root folder=$work/loong64 tool
    root=$(cargo qemu package trixie amd64 "${packages[@]}") || return
    mkdir -p "$folder"
    for tool in ld ar objcopy readelf; do
        printf '#!/bin/sh\nexec %q --library-path %q %q "$@"\n' "$root/usr/lib64/ld-linux-x86-64.so.2" \
            "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/loongarch64-linux-gnu-$tool" >"$folder/$tool"
        chmod +x "$folder/$tool"
    done
    cat >"$folder/cc" <<CC
#!/bin/bash
for word; do
    case \$word in
    -print-prog-name=*) echo "$folder/\${word#*=}"; exit ;;
    -dM) echo '#define __SIZEOF_POINTER__ 8'; exit ;;
    -nostdlib) ;;
    -Wl,*) IFS=, read -ra words <<<"\${word#-Wl,}"; set -- "\${@}" "\${words[@]}" ;;
    *) set -- "\${@}" "\$word" ;;
    esac
    shift
done
exec "$folder/ld" --eh-frame-hdr "\$@"
CC
    chmod +x "$folder/cc"
    cross_cc=$folder/cc
}

# names LIBRARY: prints the versioned names of the dynamic symbols.
names() {
    readelf --dyn-syms -W "$1" | grep -oE '(io_[a-z0-9_]+|LIBAIO)@?@?(LIBAIO)?_?0?\.?[0-9.]*( |$)' | sed 's/ *$//' | sort -u
}

# linked ARCHITECTURE TARGET COMPILER SUITE PACKAGE: installs, and compares with Debian's
# library. The table for unwinding has an entry for each function.
linked() {
    local folder=$work/architectures/$1 cross_cc=$3 library reference functions
    [ "$cross_cc" != loong64 ] || loong64 || return
    rm -rf "$folder"
    (
        . tests/ci/cross.sh
        use_library || exit
        "$capi_install" --target "$2" --cc "$cross_cc" --prefix /usr --destdir "$folder" -- -Zbuild-std=core
    ) || return
    library=$folder/usr/lib/libaio.so.1
    reference=$(cargo qemu package "$4" "$1" "$5") || return
    reference=$(find "$reference" -name 'libaio.so.1*' -type f)
    if [ "$5" = libaio1 ]; then
        diff <(names "$reference") <(names "$library" | grep -vx LIBAIO_0.6) || return
    else
        diff <(names "$reference") <(names "$library") || return
    fi
    self_contained "$library" libaio.so.1 || return
    self_contained "$folder/usr/lib/libaio.so.1t64" libaio.so.1t64 || return
    archive "$folder/usr/lib/libaio.a" || return
    functions=$(names "$library" | grep -c ^io_)
    case $1 in
    arm*[lf]) ;; # a table of their own, which is removed
    *) [ "$(readelf -wf "$library" 2>/dev/null | grep -c FDE)" -ge "$functions" ] || return ;;
    esac
    echo "note: $functions functions, $(stat -Lc %s "$library") bytes$(readelf -nW "$library" | sed -n 's/.*Properties: */, /p')"
}

while read -r row; do
    # shellcheck disable=SC2086 # words
    set -- $row
    case " ${ARCHITECTURES:-$1} " in
    *" $1 "*) check "linked for $1" linked "$@" ;;
    esac
done < <(architectures)
