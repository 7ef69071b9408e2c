# Steps: run one, keep its log, print its verdict, add up the results. Sourced; needs
# $target, $logs, $list, $all, $only and $skip.

passed=0
failed=0
failed_steps=()
# The times of each step in its last run: seconds, seconds of processor time, name.
times=$target/step-times
touch "$times"
TIMEFORMAT='%0R %0U %0S'

# step KIND NAME COMMAND...: runs a step. KIND `test` counts the results in cargo's
# `test result:` lines. KIND `sum` counts those in the last line `N passed, N failed`.
# For both, a run without any test is a failure. KIND `check` counts one.
# A command that cannot do its work prints the reason and fails: steps are skipped only
# by name.
step() {
    local kind=$1 name=$2 log=$logs/${2// /-}.log status ticker took good=0 bad=0 ignored=0 note=
    shift 2
    if $list; then
        list_line "$name"
        return
    fi
    wanted "$name" || return 0
    printf '%-34s ' "$name"
    ticking "$name" "$log"
    # The outer subshell has only the children of this step: parallel steps end
    # independently. The inner group is needed because bash writes a subshell's time to
    # its log.
    (
        time {
            (
                set -e
                "$@"
            ) >"$log" 2>&1 </dev/null
        }
    ) 2>"$log.time"
    status=$?
    quiet
    took=$(remember "$name" "$log.time")
    if [ "$kind" != check ]; then
        read -r good bad ignored < <(counted "$log")
        note=" $good passed"
        [ "$ignored" = 0 ] || note+=", $ignored ignored"
        if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
        if [ "$status" = 0 ] && [ "$good" = 0 ]; then bad=1 note=" no test ran"; fi
        [ "$bad" = 0 ] || note+=", $bad failed"
    elif [ "$status" = 0 ]; then
        good=1
    else
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    if [ "$bad" = 0 ]; then
        echo "ok      $took$note"
    else
        failed_steps+=("$name")
        echo "FAILED  $took$note; the last lines of $log:"
        tail -n 40 "$log" | sed 's/^/    | /'
    fi
}

# full KIND NAME COMMAND...: runs a step in a full run, or in a run that names it.
full() {
    if $all || $list || [ ${#only[@]} != 0 ]; then step "$@"; fi
}

# counted LOG: prints the numbers of tests that passed, failed and were ignored.
counted() {
    awk '/^test result:/ {
            for (i = 1; i < NF; i++) {
                if ($(i + 1) == "passed;") good += $i
                if ($(i + 1) == "failed;") bad += $i
                if ($(i + 1) == "ignored;") ignored += $i
            }
        }
        { sum = $0 ~ /^[0-9]+ passed, [0-9]+ failed$/ ? $0 : "" }
        END { if (split(sum, words, " ")) { good += words[1]; bad += words[3] }; print good + 0, bad + 0, ignored + 0 }' "$1"
}

# remember NAME TIME: records and prints the times of a step.
remember() {
    local wall user system
    read -r wall user system < <(tail -n 1 "$2")
    rm -f "$2"
    printf '%s\t%s\t%s\n' "$wall" $((user + system)) "$1" >>"$times"
    echo "$wall s ($((user + system)) s of processor)"
}

# list_line NAME: prints a line of the list.
list_line() {
    awk -F '\t' -v name="$1" '$3 == name { last = sprintf("%6d s %6d s", $1, $2) }
        END { printf "%-34s %s\n", name, last }' "$times"
}

# ticking NAME LOG: displays, on a terminal, the duration of the step so far and the
# last line of its log.
ticking() {
    ticker=
    [ -t 1 ] || return 0
    local name=$1 log=$2
    while sleep 1; do
        printf '\r\033[K%-34s %d s  %s' "$name" "$SECONDS" "$(tail -n 1 "$log" 2>/dev/null | tr -d '\r\033' | cut -c 1-60)"
    done &
    ticker=$!
    disown
}

quiet() {
    [ -n "$ticker" ] || return 0
    kill "$ticker" 2>/dev/null
    printf '\r\033[K%-34s ' "$name"
}

# beside NAME FUNCTION: runs the steps of FUNCTION in parallel to the following ones,
# until `joined NAME` prints them and adds them up. They share no build folder.
declare -A beside=()
beside() {
    if $list; then
        "$2"
        return
    fi
    rm -f "$logs/$1.sum"
    # In a process group of their own, by which they can be ended together.
    set -m
    (
        passed=0 failed=0 failed_steps=()
        "$2"
        declare -p passed failed failed_steps >"$logs/$1.sum"
    ) >"$logs/$1.steps" 2>&1 </dev/null &
    beside[$1]=$!
    set +m
}

# A terminal's interrupt does not reach the parallel steps.
end_beside() {
    local group
    for group in "${beside[@]}"; do
        kill -- "-$group" 2>/dev/null
    done
}
trap end_beside EXIT
trap 'exit 130' INT TERM

joined() {
    local before=("$passed" "$failed" "${failed_steps[@]}")
    ! $list || return 0
    wait "${beside[$1]}"
    unset "beside[$1]"
    cat "$logs/$1.steps"
    passed=0 failed=1 failed_steps=("$1")
    # Without this file, the parallel steps did not complete.
    [ ! -e "$logs/$1.sum" ] || . <(sed 's/^declare --\|^declare -a/declare -g/' "$logs/$1.sum")
    passed=$((passed + before[0])) failed=$((failed + before[1]))
    failed_steps=("${before[@]:2}" "${failed_steps[@]}")
}

# wanted NAME: returns whether the command line's patterns select a step. A step that
# `skip` excludes is printed.
wanted() {
    local pattern
    for pattern in "${skip[@]}"; do
        # shellcheck disable=SC2053 # a pattern
        if [[ $1 == $pattern ]]; then
            printf '%-34s skipped by name\n' "$1"
            return 1
        fi
    done
    [ ${#only[@]} != 0 ] || return 0
    for pattern in "${only[@]}"; do
        # shellcheck disable=SC2053
        if [[ $1 == $pattern ]]; then return 0; fi
    done
    return 1
}

# discard FOLDER...: removes build folders below the target folder that no later step of a
# whole run uses, since the disk of the machine can be small.
discard() {
    if $all && ! $list && [ ${#only[@]} = 0 ]; then rm -rf "${@/#/$target/}"; fi
}

# finish: prints the sum as the last line. Returns 1 on any failure.
finish() {
    ! $list || exit 0
    [ ${#failed_steps[@]} = 0 ] || echo "failed: $(IFS=,; echo "${failed_steps[*]}")"
    if [ $((passed + failed)) = 0 ]; then
        echo "no step has that name"
        failed=1
    fi
    echo "took $SECONDS s; $(du -sm "$target" | cut -f 1) MB below $target"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
