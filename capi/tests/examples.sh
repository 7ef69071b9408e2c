# Builds the examples in C with this library and with the reference, and verifies their
# output. Sourced by `run`.

# sums LIBRARIES: builds the example with these, and compares it with another sum.
sums() {
    local file=$work/sum-of len
    gcc -O2 -Wall -Wextra -Werror -I"$ours/include" capi/examples/sum.c -o "$work/sum" "$@" || return
    # No block, a part of one, and more than are in flight.
    for len in 0 1 65536 700001; do
        head -c "$len" /dev/urandom >"$file" || return
        [ "$("$work/sum" "$file")" = "$(expected "$file")" ] || return
    done
    # An error has its message.
    ! "$work/sum" "$work" 2>"$work/sum.error" && [ -s "$work/sum.error" ]
}

expected() {
    od -An -v -tu1 -w1 "$1" | awk '{ bytes++; sum += $1 } END { printf "%d bytes, sum %d", bytes, sum }'
}

check "the example in C, shared" sums "$ours/lib/libaio.so" -Wl,-rpath,"$ours/lib"
check "the example in C, static" sums "$ours/lib/libaio.a"
check "the example in C, the reference" sums "$ref_a"
