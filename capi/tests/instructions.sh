# Counts the instructions per call with callgrind. Sourced by `run`.

# count NAME ARGUMENT...: prints a line per function with its name and the instructions
# per call, without those of the caller.
count() {
    local name=$1 out
    shift
    out=$work/callgrind-$name
    # Symbols are bound at the start; otherwise the first call would include the loader.
    gcc -O2 -fno-optimize-sibling-calls -Wall -Wextra -Werror -I"$ours/include" "$programs/instructions.c" -Wl,-z,now "$@" -o "$work/instructions-$name" || return
    valgrind -q --tool=callgrind --callgrind-out-file="$out" "$work/instructions-$name" || return
    callgrind_annotate --tree=calling --inclusive=yes --threshold=100 --show-percs=no "$out" |
        awk '$2 == "*" && $3 ~ /:(empty|ready|submit|destroy)$/ { at = $3; sub(/.*:/, "", at) }
             $2 == ">" && $3 ~ /:io_/ && at != "" && $0 ~ /\(100x\)/ {
                 sub(/,/, "", $1); print at, $1 / 100; at = "" }' | sort
}

table() {
    count ours "$ours/lib/libaio.so" -Wl,-rpath,"$ours/lib" >"$work/count-ours" || return
    count reference "$ref_so" >"$work/count-reference" || return
    join "$work/count-reference" "$work/count-ours" | tee "$work/instructions" || return
    [ "$(wc -l <"$work/instructions")" = 4 ]
}

# Verifies that a count is at most this fraction of the reference: a third, except for
# the empty ring, where nothing can be omitted, and a wait: valgrind does not implement
# io_pgetevents, so the fall-back is counted as well.
fraction() {
    awk -v what="$1" -v most="$2" '
        $1 == what { found = 1; print "note: " $3 " for " $2; exit !($3 <= $2 * most) }
        END { if (!found) exit 1 }' "$work/instructions"
}

check "instructions are counted" table
check "instructions of io_submit" fraction submit 0.333
check "instructions of io_getevents, ready" fraction ready 0.5
check "instructions of io_getevents, empty" fraction empty 1.5
check "instructions of io_destroy" fraction destroy 0.333
