# Steps: run one, keep its log, print its verdict, add up. Sourced; needs $logs.

passed=0
failed=0
failed_steps=()

# step KIND NAME COMMAND...: KIND `test` counts what cargo's `test result:`
# lines say, KIND `sum` what the last line `N passed, N failed` says, and a run
# of no test at all is a failure; KIND `check` counts one.
# A command that cannot do its work says why and fails: nothing is skipped but
# by name.
step() {
    local kind=$1 name=$2 log=$logs/${2// /-}.log begin=$SECONDS status good=0 bad=0 ignored=0 note=
    shift 2
    wanted "$name" || return 0
    printf '%-34s ' "$name"
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    if [ "$kind" != check ]; then
        read -r good bad ignored < <(awk '/^test result:/ {
                for (i = 1; i < NF; i++) {
                    if ($(i + 1) == "passed;") good += $i
                    if ($(i + 1) == "failed;") bad += $i
                    if ($(i + 1) == "ignored;") ignored += $i
                }
            }
            { sum = $0 ~ /^[0-9]+ passed, [0-9]+ failed$/ ? $0 : "" }
            END { if (split(sum, words, " ")) { good += words[1]; bad += words[3] }; print good + 0, bad + 0, ignored + 0 }' "$log")
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
        echo "ok      $((SECONDS - begin)) s$note"
    else
        failed_steps+=("$name")
        echo "FAILED  $((SECONDS - begin)) s$note; the last lines of $log:"
        tail -n 40 "$log" | sed 's/^/    | /'
    fi
}

# beside NAME FUNCTION: the steps that FUNCTION runs, beside those that follow,
# until `joined NAME` prints them and adds them up. They share no build folder.
beside() {
    (
        passed=0 failed=0 failed_steps=()
        "$2"
        declare -p passed failed failed_steps >"$logs/$1.sum"
    ) >"$logs/$1.steps" 2>&1 </dev/null &
}

joined() {
    local before=("$passed" "$failed" "${failed_steps[@]}")
    wait
    cat "$logs/$1.steps"
    passed=0 failed=1 failed_steps=("$1")
    # Where it is not, that lane has not come to its end.
    [ ! -e "$logs/$1.sum" ] || . <(sed 's/^declare --\|^declare -a/declare -g/' "$logs/$1.sum")
    passed=$((passed + before[0])) failed=$((failed + before[1]))
    failed_steps=("${before[@]:2}" "${failed_steps[@]}")
}

# wanted NAME: by the command line's patterns. What was left out is told.
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

# The last line is the sum; the status is 1 on any failure.
finish() {
    [ ${#failed_steps[@]} = 0 ] || echo "failed: $(IFS=,; echo "${failed_steps[*]}")"
    if [ $((passed + failed)) = 0 ]; then
        echo "no step has that name"
        failed=1
    fi
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
