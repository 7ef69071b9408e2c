# Verifies that libaio.h compiles without warnings and declares the same as the header
# of the reference. Sourced by `run`.

warnings=(-Werror -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual)
include=$ours/include

quiet() {
    local compiler
    # shellcheck disable=SC2206 # words
    compiler=($1)
    echo '#include <libaio.h>' >"$work/quiet.c"
    "${compiler[@]}" "${warnings[@]}" -I"$include" -c "$work/quiet.c" -o "$work/quiet.o"
}

# Extracts the constants, sizes and offsets as bytes of an object.
facts() {
    local compiler
    # shellcheck disable=SC2206
    compiler=($1)
    "${compiler[@]}" -Wall -I"$2" -c "$programs/layout.c" -o "$3.o" &&
        "${compiler[0]%gcc}objcopy" -O binary -j facts "$3.o" "$3" && [ -s "$3" ]
}

layout() {
    facts "$1" "$include" "$work/layout-ours" || return
    facts "$1" "$source/src" "$work/layout-reference" || return
    cmp "$work/layout-ours" "$work/layout-reference" || return
    echo "note: $(($(stat -c %s "$work/layout-ours") / 2)) facts"
}

# Verifies that the names visible to a program are the same.
names() {
    local header
    for header in "$include" "$source/src"; do
        echo '#include <libaio.h>' | gcc -E -P -I"$header" - |
            grep -oE '\b(io_|IO_CMD_|iocb|aio_)[A-Za-z0-9_]*' | sort -u >"$work/names-${header//\//-}"
    done
    diff "$work/names-${source//\//-}-src" "$work/names-${include//\//-}"
}

# Verifies that the waits of a 32-bit program match the width of its time.
redirected() {
    local width=$1 name=$2
    echo '#include <libaio.h>
        int f(void) { return io_getevents(0, 0, 0, 0, 0) + io_pgetevents(0, 0, 0, 0, 0, 0); }' |
        i686-linux-gnu-gcc -D_TIME_BITS="$width" -D_FILE_OFFSET_BITS=64 -I"$include" -xc - -c -o "$work/redirected.o" || return
    diff <(nm -u "$work/redirected.o" | sed -n 's/ *U io_//p') <(printf '%s\n' "getevents$name" "pgetevents$name")
}

for std in c90 gnu90 c99 c11 gnu17 gnu2x; do
    check "quiet as $std" quiet "gcc -std=$std"
done
for std in c++98 gnu++98 c++11 gnu++17 c++20; do
    check "quiet as $std" quiet "g++ -xc++ -std=$std"
done
if command -v clang >"$work/clang"; then
    check "quiet by clang, C90" quiet "clang -std=c90"
    check "quiet by clang, C++98" quiet "clang -xc++ -std=c++98"
fi
for cc in i686-linux-gnu-gcc "i686-linux-gnu-gcc -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64" \
    s390x-linux-gnu-gcc arm-linux-gnueabihf-gcc; do
    check "quiet by $cc" quiet "$cc"
done
for cc in gcc i686-linux-gnu-gcc s390x-linux-gnu-gcc arm-linux-gnueabihf-gcc; do
    check "layout by $cc" layout "$cc"
done
check "names as the reference's" names
check "64-bit time on 32 bits" redirected 64 _time64
check "32-bit time on 32 bits" redirected 32 ""
