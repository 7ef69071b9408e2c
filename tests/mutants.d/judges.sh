# The judges: the commands that run against a mutant, in its copy of the tree. Sourced.
#
# A judge fails and prints a line that matches its mutant's entry. The judges that share
# built files form a group. Each group has a copy of the tree and a target folder, and
# runs its mutants one after the other. Groups run in parallel.

# group JUDGE ARGUMENT...: prints the group of a judge with its arguments. The tests of the
# layers are two groups, by the names of their files: one would run as long as all other
# groups together.
group() {
    case $1 in
    user | native | gvisor) echo "${@: -1}" ;;
    kernel) echo "$3" ;;
    headers | unit) echo native ;;
    safe) [[ $2 < q ]] && echo native || echo native-q ;;
    stress | reenter) echo random ;;
    *) echo "$1" ;;
    esac
}

# wants_tool JUDGE: returns whether a judge runs `cargo qemu`, which is built outside
# the copies.
wants_tool() {
    case $1 in
    user | native | gvisor | kernel | machine_code) true ;;
    headers) ! [ -d "${LINUX_HEADERS:-${CARGO_TARGET_DIR:-target}/cache/linux-libc-dev}" ] ;;
    *) false ;;
    esac
}

# Runs a command with a time limit: a mutant may wait forever.
limited() {
    timeout 300 "$@"
}

# headers: compares the tables of numbers with the kernel headers.
headers() {
    [ -d "$LINUX_HEADERS" ] || "$tool" setup headers || return
    limited cargo test --locked --quiet -p linux-aio --lib header_tests
}

# safe FILE [TEST]: runs tests of the layers on this machine's kernel.
#
# A mutant that fails one test of a file may make another wait for ever, and the harness
# prints the output of failed tests after the last one has ended. As JSON, it prints each
# when the test fails, and of failed tests alone. So the tests are ended when one has
# failed with the output that $pattern describes, from which on they cannot pass.
safe() {
    local job status triple
    triple=$(uname -m)_unknown_linux_gnu
    env "CARGO_TARGET_${triple^^}_RUNNER=env RUSTC_BOOTSTRAP=1" timeout 300 \
        cargo test --locked --quiet -p linux-aio --features std --test "$1" -- \
        -Zunstable-options --format=json "${@:2}" &
    job=$!
    while kill -0 "$job" 2>/dev/null; do
        if grep -qa '"event": "failed"' "$log" && grep -qaE "$pattern" "$log"; then
            # The program that runs it ends all of its group.
            kill "$job" 2>/dev/null
            break
        fi
        sleep 0.2
    done
    wait "$job"
    status=$?
    sed -i 's/\\n/\n/g; s/\\"/"/g' "$log"
    return "$status"
}

# unit [TEST]: runs the library's unit tests.
unit() {
    limited cargo test --locked --quiet -p linux-aio --lib "$@"
}

# machine_code TEST: checks the assembly of a fixture for another architecture.
machine_code() {
    local targets folder library compiler
    # Those that the tests name.
    mapfile -t targets < <(grep -o '"[a-z0-9]*-unknown-linux-gnu"' tests/machine_code.rs | tr -d '"' | sort -u)
    if [ -z "${RUST_SRC:-}" ] && folder=$("$tool" sysroot "${targets[@]}"); then
        RUSTC=$folder/rustc limited cargo test --locked --quiet -p linux-aio --test machine_code "$@"
        return
    fi
    eval "$("$tool" library)" || return
    __CARGO_TESTS_ONLY_SRC_ROOT=$library RUSTC=$compiler \
        limited cargo test --locked --quiet -p linux-aio --test machine_code "$@"
}

# stress: runs 300,000 operations under signals and forks. It is not optimised, as most
# of the time is spent on builds.
stress() {
    limited cargo run --locked --quiet --features std -p linux-aio --example stress -- 300000 "$MAIN_TARGET"
}

# reenter [--release]: runs user code that calls back at random. Only the optimised
# program has many operations in flight when a queue is dropped.
reenter() {
    REENTER=100000 limited cargo test --locked --quiet "$@" --features std -p linux-aio --test reenter
}

# tokio TEST [NAME]: runs a test of the crate for tokio.
tokio() {
    limited cargo test --locked --quiet -p linux-aio-tokio --test "$@"
}

# model FILE [TEST]: runs a model. It is not optimised, as most of the time is spent on
# builds.
model() {
    PROPTEST_MAX_SHRINK_ITERS=0 limited cargo test --locked --quiet -p model --test "$@"
}

# user [--quick] TARGET: runs the conformance program under QEMU's user mode. --quick is
# used unless the mutant concerns values that live in registers.
user() {
    "$tool" user "$@"
}

# native [--quick] TARGET: runs the conformance program on this machine's kernel.
native() {
    "$tool" native "$@"
}

# gvisor TARGET: runs the conformance program in gVisor.
gvisor() {
    "$tool" gvisor "$@"
}

# kernel KERNEL TARGET: runs the conformance program on an emulated machine.
kernel() {
    "$tool" kernel --quick --on "$1" "$2"
}
