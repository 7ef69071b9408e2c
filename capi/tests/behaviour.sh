# Verifies that random calls give the same results with each library. Sourced by `run`.
#
# Debian 13's library is the reference. Debian 12's is a second one: its waits end with
# EINTR after signals that run no handler, and Debian 13's functions fault on a timeout
# that cannot be read.

seeds=($(seq 1 16))
calls=600
limit=60 # seconds

# Builds the test program with either header and either library. The others are compared
# with the first.
build_differential() {
    local flags=(-Wall -Wextra -Werror -O1 "$programs/differential.c")
    gcc "${flags[@]}" -DOLD -I"$source/src" -o "$work/differential-reference" "$ref_so" || return
    gcc "${flags[@]}" -DOLD -I"$ours/include" -o "$work/differential-ours" \
        "$ours/lib/libaio.so" -Wl,--enable-new-dtags,-rpath,"$ours/lib" || return
    gcc "${flags[@]}" -I"$ours/include" -o "$work/differential-ours-static" "$ours/lib/libaio.a" || return
    gcc "${flags[@]}" -I"$source/src" -o "$work/differential-reference-static" "$ref_a" || return
    i686-linux-gnu-gcc "${flags[@]}" -DOLD -I"$ours32/include" -o "$work/differential-ours-i686" "$ours32/lib/libaio.so" || return
    i686-linux-gnu-gcc "${flags[@]}" -DOLD -I"$source/src" -o "$work/differential-reference-i686" "$ref32/libaio.so.1" || return
    i686-linux-gnu-gcc "${flags[@]}" -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64 -DTIME64 \
        -I"$ours32/include" -o "$work/differential-ours-time64" "$ours32/lib/libaio.so"
}

# trace NAME SEED COMMAND...: records the output of the program.
trace() {
    local name=$1 seed=$2
    shift 2
    mkdir -p "$work/traces/$name"
    timeout "$limit" "$@" "$seed" "$calls" "$work/traces/$name/file-$seed" >"$work/traces/$name/$seed" 2>&1
    echo "exit status $?" >>"$work/traces/$name/$seed"
}

# traces NAME COMMAND...: records the outputs of all seeds. The processes mostly wait
# for io_destroy, so many run concurrently.
traces() {
    local seed name=$1
    rm -rf "$work/traces/$name"
    for seed in "${seeds[@]}"; do
        trace "$name" "$seed" "${@:2}" &
    done
    wait
}

# same LINES TRACES REFERENCE: compares the lines that do not match the pattern.
same() {
    local seed
    for seed in "${seeds[@]}"; do
        [ -s "$work/traces/$2/$seed" ] && [ -s "$work/traces/$3/$seed" ] || return
        diff <(grep -vE "^($1)" "$work/traces/$3/$seed") <(grep -vE "^($1)" "$work/traces/$2/$seed") || return
    done
    echo "note: $(cat "$work/traces/$2/"[0-9]* | grep -vE "^($1)" | grep -c ' = ') calls"
}
same_traces() {
    same 'bad time' "$@"
}

# Compares without the waits during which a signal arrives.
same_undisturbed() {
    same 'bad time|disturbed' "$@" || return
    echo "note: of the others, $(diff <(cat "$work/traces/$2/"[0-9]* | grep ^disturbed) \
        <(cat "$work/traces/$1/"[0-9]* | grep ^disturbed) | grep -c '^>') differ"
}

# bad_times TRACES...: verifies that a timeout that cannot be read gives the results of
# Debian 12's library, of x86_64 or i686.
bad_times() {
    local seed name reference
    for name in "$@"; do
        reference=reference-12
        case $name in *i686 | *time64) reference+=-i686 ;; esac
        for seed in "${seeds[@]}"; do
            diff <(grep '^bad time' "$work/traces/$reference/$seed") <(grep '^bad time' "$work/traces/$name/$seed") || return
        done
    done
    echo "note: $(cat "$work/traces/reference-12/"[0-9]* | grep -c '^bad time.* = -14,') calls"
}

# Verifies that the sequences cover these results.
met() {
    local line missing=0
    cat "$work/traces/reference/"[0-9]* >"$work/traces/all"
    while read -r line; do
        grep -q "^$line" "$work/traces/all" && continue
        echo "never met: $line"
        missing=1
    done <<'LINES'
setup = 0, errno 77
setup = -22
setup, garbage = -22
setup, null = -14
setup, bad = -14
queue_init = 0
queue_init = -22
destroy = 0
destroy again = -22
destroy, null = -22
queue_release = 0
queue_release, bad = -22
submit, destroyed = -22
submit, bad context = -22
submit, no array = -14
submit, negative = -22
submit = 4
submit = -9
submit = -22
submit = -95
submit = -14
cancel = -115
cancel, not to be = -22
cancel, no iocb = -14
getevents = 2
getevents = 0
getevents = -22
getevents = -14
getevents of 0.1 = 1
getevents of 0.1 = 0
getevents of 0.1 = -22
getevents, a signal = -4
queue_wait = 0
queue_wait = -22
queue_wait of 0.1 = 0
queue_wait of 0.1 = -22
queue_run = 0
queue_run, null = -22
queue_run, garbage = -22
.callback(0
pgetevents = 1
pgetevents = 0
pgetevents = -4
pgetevents = -14
pgetevents = -22
child: poll = 0
child: poll = -22
child: wait = -22
child: destroy = -22
disturbed, stopped, call 0 = 0
disturbed, stopped, call 1 = 0
disturbed, stopped, call 2 = 0
disturbed, stopped, call 3 = 0
disturbed, traced, call 0 = 0
disturbed, traced, call 1 = 0
disturbed, traced, call 2 = 0
disturbed, traced, call 3 = 0
disturbed, no handler, call 0 = 0
disturbed, no handler, call 1 = 0
disturbed, no handler, call 2 = 0
disturbed, no handler, call 3 = 0
disturbed, handler, call 0 = -4, errno 77, caught
disturbed, handler, call 1 = -4, errno 77, caught
disturbed, handler, call 2 = -4, errno 77, caught
disturbed, handler, call 3 = -4, errno 77, caught
disturbed, SA_RESTART, call 0 = -4, errno 77, caught
disturbed, SA_RESTART, call 1 = -4, errno 77, caught
disturbed, SA_RESTART, call 2 = -4, errno 77, caught
disturbed, SA_RESTART, call 3 = -4, errno 77, caught
exit status 0
LINES
    [ "$missing" = 0 ]
}

check "the differential programs" build_differential
# i686 NAME LIBRARIES PROGRAM [SANDBOX]...: records the outputs of an i686 program.
i686() {
    traces "$1" "${@:4}" "${i686_run[@]}" "$2:/usr/i686-linux-gnu/lib" "$3"
}
READS_TIME=1 LD_LIBRARY_PATH=$ref13 traces reference "$work/differential-reference"
traces reference-12 "$work/differential-reference"
traces reference-static "$work/differential-reference-static"
traces ours "$work/differential-ours"
traces ours-static "$work/differential-ours-static"
LD_LIBRARY_PATH=$ours/lib traces theirs-with-ours "$work/differential-reference"
READS_TIME=1 LD_LIBRARY_PATH=$ref13 traces ours-with-theirs "$work/differential-ours"
i686 reference-12-i686 "$ref32" "$work/differential-reference-i686"
READS_TIME=1 i686 reference-i686 "$ref13_32" "$work/differential-reference-i686"
i686 ours-i686 "$ours32/lib" "$work/differential-ours-i686"
i686 ours-time64 "$ours32/lib" "$work/differential-ours-time64"
check "the random calls meet what they should" met
check "Debian 12's library" same_undisturbed reference-12 reference
check "Debian 12's archive" same_undisturbed reference-static reference
check "ours" same_traces ours reference
check "our archive" same_traces ours-static reference
check "their header and program, our library" same_traces theirs-with-ours reference
check "our header, their library" same_traces ours-with-theirs reference
check "ours, a timeout that cannot be read" bad_times ours ours-static theirs-with-ours ours-i686 ours-time64
check "ours, i686" same_traces ours-i686 reference-i686
check "ours, i686 with 64-bit time" same_traces ours-time64 reference-i686
