# Compares the public interface with its snapshot. Sourced.

# PUBLIC_API=write replaces the snapshot with the current interface.
public_api() {
    local snapshot=docs/public-api.txt now=$target/public-api.txt
    # The format is unstable, and depends on this compiler.
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$target/api cargo rustdoc --locked -p linux-aio --lib \
        --all-features -- -Zunstable-options --output-format json
    cargo run --locked --quiet --profile tool -p api -- "$target/api/doc/linux_aio.json" >"$now"
    if [ "${PUBLIC_API:-}" = write ]; then
        cp "$now" "$snapshot"
    fi
    if ! diff -u "$snapshot" "$now"; then
        echo "the public interface has changed: if it shall, PUBLIC_API=write tests/run 'public api'"
        return 1
    fi
}
