# Compares the public interfaces with their snapshots, and checks that every public item
# of the two libraries has an example. Sourced.

# PUBLIC_API=write replaces the snapshots with the current interfaces.
public_api() {
    local same=0
    interface linux-aio docs/public-api.txt || same=1
    have_examples linux-aio || same=1
    interface linux-aio-tokio docs/public-api-tokio.txt || same=1
    have_examples linux-aio-tokio || same=1
    return $same
}

# have_examples PACKAGE, after its interface
have_examples() {
    cargo run --locked --quiet --profile tool -p api -- examples "$target/api/doc/${1//-/_}.json"
}

# interface PACKAGE SNAPSHOT
interface() {
    local package=$1 snapshot=$2 name=${1//-/_}
    local now=$target/$name-api.txt
    # The format is unstable, and depends on this compiler.
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$target/api cargo rustdoc --locked -p "$package" --lib \
        --all-features -- -Zunstable-options --output-format json || return
    cargo run --locked --quiet --profile tool -p api -- items "$target/api/doc/$name.json" >"$now" || return
    if [ "${PUBLIC_API:-}" = write ]; then
        cp "$now" "$snapshot"
    fi
    if ! diff -u "$snapshot" "$now"; then
        echo "the public interface has changed: if it shall, PUBLIC_API=write tests/run 'public api'"
        return 1
    fi
}
