# Runs each fuzz target for a limited time. Sourced; needs $target and $host.

# fuzz SECONDS [NAME]...: does the same as `cargo +nightly fuzz run`, with the stable
# compiler and without cargo-fuzz. The code is instrumented for coverage and with the
# address sanitizer. The fuzzer starts from an empty corpus.
fuzz() {
    local seconds=$1 name work status=0
    shift
    [ $# != 0 ] || set -- ring events
    export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$target/fuzz ASAN_OPTIONS=detect_leaks=0
    export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Ccodegen-units=1 -Cdebug-assertions
        -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
        -Cllvm-args=-sanitizer-coverage-pc-table
        -Cllvm-args=-sanitizer-coverage-trace-compares"
    RUSTFLAGS=${RUSTFLAGS//$'\n'/ }
    # With an explicit target, build scripts are built without these flags.
    cargo build --locked --release --manifest-path fuzz/Cargo.toml --target "$host" || return
    for name; do
        work=$CARGO_TARGET_DIR/$name
        rm -rf "$work"
        mkdir -p "$work/corpus"
        echo "== $name"
        "$CARGO_TARGET_DIR/$host/release/$name" -max_total_time="$seconds" -max_len=512 \
            -timeout=10 -print_final_stats=1 -artifact_prefix="$work/" "$work/corpus" || status=1
    done
    return "$status"
}
