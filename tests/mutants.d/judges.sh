# The judges: what is run against a mutant, in its copy of the tree. Sourced.
#
# A judge fails and prints a line that its mutant's entry knows. Those that
# share built files are one group: it has a copy of the tree and a target
# folder, and runs its mutants one after the other. Groups run side by side.

# group JUDGE ARGUMENT...: the group of a judge with its arguments.
group() {
    case $1 in
    user | native) echo "${@: -1}" ;;
    kernel) echo "$3" ;;
    headers | safe | unit) echo native ;;
    stress | reenter) echo random ;;
    *) echo "$1" ;;
    esac
}

# Whether a judge runs `cargo qemu`, which is built outside the copies.
wants_tool() {
    case $1 in
    user | native | kernel | machine_code) true ;;
    headers) ! [ -d "${LINUX_HEADERS:-${CARGO_TARGET_DIR:-target}/cache/linux-libc-dev}" ] ;;
    *) false ;;
    esac
}

# A mutant may wait for ever.
limited() {
    timeout 300 "$@"
}

# The tables of numbers, held to the kernel's headers.
headers() {
    [ -d "$LINUX_HEADERS" ] || "$tool" setup headers || return
    limited cargo test --locked --quiet -p linux-aio --lib header_tests
}

# safe FILE [TEST]: tests of the layers, on this machine's kernel.
safe() {
    limited cargo test --locked --quiet -p linux-aio --features std --test "$1" -- "${@:2}"
}

# unit [TEST]
unit() {
    limited cargo test --locked --quiet -p linux-aio --lib "$@"
}

# machine_code TEST: the assembly of a fixture for another architecture.
machine_code() {
    local library compiler
    eval "$("$tool" library)" || return
    __CARGO_TESTS_ONLY_SRC_ROOT=$library RUSTC=$compiler \
        limited cargo test --locked --quiet -p linux-aio --test machine_code "$@"
}

# 300,000 operations under signals and forks; not optimised, as most of the
# time goes into builds.
stress() {
    limited cargo run --locked --quiet --features std -p linux-aio --example stress -- 300000 "$MAIN_TARGET"
}

# reenter [--release]: user code that calls back, at random. Only the optimised
# program has many operations in flight when a queue is dropped.
reenter() {
    REENTER=100000 limited cargo test --locked --quiet "$@" --features std -p linux-aio --test reenter
}

tokio() {
    limited cargo test --locked --quiet -p tokio-reactor --test dropped
}

# model FILE [TEST]: not optimised, for the same reason.
model() {
    PROPTEST_MAX_SHRINK_ITERS=0 limited cargo test --locked --quiet -p model --test "$@"
}

# user [--quick] TARGET: the conformance program under QEMU's user mode; quickly,
# unless it is about values that live in registers.
user() {
    "$tool" user "$@"
}

# native [--quick] TARGET: the conformance program on this machine's kernel.
native() {
    "$tool" native "$@"
}

# kernel KERNEL TARGET: the conformance program on an emulated machine.
kernel() {
    "$tool" kernel --quick --on "$1" "$2"
}
