# Steps on this machine itself. Sourced; needs $target, $feature_sets, $lint_sets and
# $package_sets.

# Lints in two parts, since a program without std cannot unwind and tests must. With
# both in one, every dependency is checked twice.
lint() {
    local set
    lint_of() { cargo clippy --locked "$@" --all-targets -- -D warnings; }
    lint_of -p linux-aio-build
    lint_of -p aio -p executor -p guest -p smallest
    lint_of --manifest-path capi/Cargo.toml -p linux-aio-capi
    export CARGO_PROFILE_DEV_PANIC=unwind
    # No test or example has lines for the absence of a feature.
    for set in "" "sc std rt"; do
        lint_of -p linux-aio --features "$set"
    done
    # What the other sets add is in the library alone.
    for set in std "${lint_sets[@]}"; do
        cargo clippy --locked -p linux-aio --lib --features "$set" -- -D warnings
    done
    # With the macros and build scripts of the build that follows.
    lint_of --profile tool -p api -p model -p numbers -p qemu
    lint_of --manifest-path capi/Cargo.toml -p capi-install
    # Each with its own selection of the library's features.
    lint_of -p linux-aio-tokio --all-features
    lint_of -p benches --features std
}

formatted() {
    cargo fmt --all --check -- --color never || return
    cargo fmt --all --manifest-path capi/Cargo.toml --check -- --color never
}

documentation() {
    export RUSTDOCFLAGS=-Dwarnings
    cargo doc --locked --no-deps --all-features || return
    cargo doc --locked --no-deps --manifest-path capi/Cargo.toml -p linux-aio-capi || return
    documented_items
}

# Checks that each link of a page to an item of the library leads to one.
documented_items() {
    local url missing=0
    while read -r url; do
        [ -f "$target/doc/${url#https://docs.rs/linux-aio/latest/}" ] && continue
        echo "$url is not in the documentation" >&2
        missing=1
    done < <(grep -ohE 'https://docs\.rs/linux-aio/latest/[^])# ]+' ./*.md docs/*.md | sort -u)
    return $missing
}

# Builds the published package from its archive.
package() {
    local dirty=()
    if [ -n "$(git status --porcelain 2>/dev/null)" ]; then
        echo "the work tree has changes of its own"
        dirty=(--allow-dirty)
    fi
    package_links
    cargo package --locked -p linux-aio "${dirty[@]}"
    cargo package --locked --no-verify "${dirty[@]}" -p linux-aio -p linux-aio-build \
        -p linux-aio-tokio -p aio
    package_files
    package_uses
}

# Checks that each archive has the texts that a crate needs, and no link to a file outside.
package_files() {
    local archive name file manifest missing=0
    for name in linux-aio linux-aio-build linux-aio-tokio aio; do
        archive=$(ls -t "$target/package/$name"-[0-9]*.crate | head -n 1)
        for file in README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT; do
            # A symbolic link is packaged as the file that it leads to.
            [ -n "$(tar -xOf "$archive" --wildcards "*/$file" 2>/dev/null)" ] && continue
            echo "$archive: no $file" >&2
            missing=1
        done
        manifest=$(tar -xOf "$archive" --wildcards "$name-[0-9]*/Cargo.toml") || return
        for file in description documentation keywords categories license readme rust-version; do
            grep -q "^$file = " <<<"$manifest" && continue
            echo "$archive: no $file in its manifest" >&2
            missing=1
        done
    done
    return $missing
}

# Uses the archives of the published packages in place of this workspace: runs the examples
# in the documentation of the adapter for tokio, and installs the tool.
package_uses() {
    local away
    away=$(mktemp -d)
    # shellcheck disable=SC2064 # the name of now
    trap "rm -rf '$away'" EXIT
    static_unpack "$away" linux-aio linux-aio-build linux-aio-tokio aio
    export CARGO_TARGET_DIR=$target/package-tests
    cargo test --all-features --doc --manifest-path "$away/linux-aio-tokio/Cargo.toml" \
        --config "$away/patch.toml"
    package_aio "$away"
}

# package_aio FOLDER: installs the tool by the command in its README, which makes one static
# program.
package_aio() {
    local command installed=$1/installed
    command=$(sed -n '/^cargo install/,/[^\\]$/p' "$1/aio/README.md")
    [ -n "$command" ]
    # What it locks is replaced here.
    command=${command/--locked/--config '"$1/patch.toml"' --root '"$installed"'}
    (cd "$1/aio" && eval "$command")
    static_elf "$installed/bin/aio"
    "$installed/bin/aio" copy "$1/aio/README.md" "$1/copy"
    cmp "$1/aio/README.md" "$1/copy"
}

# Checks that each relative link of the pages in the package leads to a file of it, and
# each link to a file of the package on docs.rs.
package_links() {
    local files page link missing=0
    files=$(cargo package --locked -p linux-aio --list --allow-dirty) || return
    # cargo packages no file of a folder with a manifest of its own, such as `capi`.
    files+=$'\n'$(ls capi/README.md)
    for page in $(grep '\.md$' <<<"$files"); do
        while read -r link; do
            link=${link%%#*}
            [ -z "$link" ] || grep -qxF "$(normal "$(dirname "$page")/$link")" <<<"$files" && continue
            echo "$page: $link is not in the package" >&2
            missing=1
        done < <(links "$page" | grep -vE '^(https?:|data:|#|[A-Za-z_@]+::)')
    done
    while read -r link; do
        grep -qxF "$link" <<<"$files" && continue
        echo "src/guide/links.md: $link is not in the package" >&2
        missing=1
    done < <(sed -nE 's!^\[.*\]: https://docs.rs/crate/linux-aio/latest/source/!!p' src/guide/links.md)
    return $missing
}

# links PAGE: prints the targets of its links, `[text](target)` and `[label]: target`.
links() {
    grep -oE '\]\([^)]+\)|^\[[^]]+\]: [^ ]+' "$1" | sed -E 's/^\]\(//; s/\)$//; s/^\[[^]]+\]: //'
}

# normal PATH: prints a relative path without `.` and `..`.
normal() {
    realpath --canonicalize-missing --relative-to=. "$1"
}

# Runs the package's tests from its archive, outside of this workspace.
package_tests() {
    local away archive set
    archive=$(ls -t "$target"/package/linux-aio-[0-9]*.crate | head -n 1)
    away=$(mktemp -d)
    # shellcheck disable=SC2064 # the name of now
    trap "rm -rf '$away'" EXIT
    tar -xf "$archive" -C "$away" --strip-components=1
    for set in "${package_sets[@]}"; do
        CARGO_TARGET_DIR=$target/package-tests cargo test --manifest-path "$away/Cargo.toml" --features "$set"
    done
}

# Runs the library's tests but those in its documentation, which `package_tests` runs.
library_tests() {
    # One of them runs the examples.
    cargo build --locked -p linux-aio --examples "$@"
    cargo test --locked --no-fail-fast -p linux-aio --lib --tests "$@"
}

# Verifies that the documented mistakes fail to compile with the documented error codes.
# rustdoc compares the codes only with an unstable compiler.
misuse() {
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$target/misuse \
        cargo test --locked --features std -p linux-aio --doc misuse
}

# The crate for tokio. One of its tests runs under QEMU's user mode.
test_tokio() {
    QEMU_USER=$(cargo qemu emulators)
    export QEMU_USER
    cargo test --locked --no-fail-fast -p linux-aio-tokio --all-features
    # The type-erased buffers, as the optimiser leaves them.
    cargo test --locked -p linux-aio-tokio --lib \
        --config profile.dev.package.linux-aio-tokio.opt-level=3
}

# Tests the examples one by one: some have std, and the executor must not. The last one
# checks itself.
examples() {
    QEMU_USER=$(cargo qemu emulators)
    export QEMU_USER
    cargo test --locked --no-fail-fast -p executor
    cargo test --locked --no-fail-fast -p runtimes
    static_elf "$target/debug/executor"
    cargo run --locked --features std -p linux-aio --example vmm_block -- "$target"
}

tool_tests() {
    QEMU_USER=$(cargo qemu emulators)
    export QEMU_USER
    if [ "$(dpkg --print-architecture)" = amd64 ]; then
        RUNSC=$(cargo qemu package bookworm amd64 runsc)/usr/bin/runsc
        export RUNSC
    fi
    cargo test --locked --no-fail-fast -p aio -- --skip the_limit_is_used_up
}

# Uses up fs.aio-max-nr, which other tests need, so it runs alone.
limit_tests() {
    cargo test --locked -p aio --test absent the_limit_is_used_up
}

# Runs the tests of tests/gvisor.list in gVisor. What they write stays in there.
gvisor_tests() {
    local runsc binary names binaries=() tests=() log=$target/tmp/gvisor-tests passed
    runsc=$(cargo qemu package bookworm amd64 runsc)/usr/bin/runsc
    while read -r binary names; do
        [ "$binary" != "#" ] || continue
        [[ " ${binaries[*]} " == *" $binary "* ]] || binaries+=(--test "$binary")
        # shellcheck disable=SC2206
        tests+=($names)
    done <tests/gvisor.list
    mkdir -p "$target/tmp"
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="timeout -k 1 120 $runsc --rootless --network=none --platform=ptrace do"
    TMPDIR=$target/tmp cargo test --locked --no-fail-fast -p linux-aio --features std \
        "${binaries[@]}" -- --exact "${tests[@]}" | tee "$log" || return
    passed=$(awk '/^test result:/ { passed += $4 } END { print passed }' "$log")
    if [ "$passed" != ${#tests[@]} ]; then
        echo "$passed of ${#tests[@]} tests of tests/gvisor.list ran"
        return 1
    fi
}

tool_static() {
    cargo build --locked --profile aio -p aio
    static_elf "$target/aio/aio"
    "$target/aio/aio" --help
}

# Checks with the oldest compiler that Cargo.toml supports. The compiler is Debian's,
# run by this machine's cargo.
msrv() {
    local set stated
    stated=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    RUSTC=$(cargo qemu rustc bookworm "$stated.")
    export RUSTC CARGO_TARGET_DIR=$target/msrv
    "$RUSTC" -V
    for set in "${feature_sets[@]}"; do
        cargo check --locked -p linux-aio --lib --features "$set"
    done
    cargo check --locked -p aio --bins
    cargo check --locked --manifest-path capi/Cargo.toml -p linux-aio-capi -p capi-install
    cargo check --locked -p linux-aio-tokio --lib --all-features
}

models() {
    CARGO_TARGET_DIR=$target/model cargo test --locked --release --no-fail-fast -p model -- --nocapture
}
