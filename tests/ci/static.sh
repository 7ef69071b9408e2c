# Programs without libc, from the published packages. Sourced; needs $target and $all.

# The targets besides the host's, and their emulators.
static_targets() {
    if $all; then
        echo "x86_64-unknown-linux-musl: i686-unknown-linux-gnu: aarch64-unknown-linux-gnu:aarch64"
        echo "riscv64gc-unknown-linux-gnu:riscv64 s390x-unknown-linux-gnu:s390x"
    else
        echo "x86_64-unknown-linux-musl: aarch64-unknown-linux-gnu:aarch64"
    fi
}

# The kernels that boot a program as the first process, and its target.
static_kernels() {
    echo "amd64-7.3=x86_64-unknown-linux-gnu"
    if $all; then
        echo "arm64=aarch64-unknown-linux-gnu riscv64=riscv64gc-unknown-linux-gnu"
    fi
}

# Builds the projects in `examples/` as the page docs/static.md describes, from the
# archives of the two packages, outside of this workspace. Runs them here, under user
# mode, and as the first process of kernels.
static_programs() {
    local away project file sysroot pair triple emulator program kernels=()
    passed=0 failed=0
    away=$(mktemp -d)
    # shellcheck disable=SC2064 # the name of now
    trap "rm -rf '$away'" EXIT
    static_unpack "$away" linux-aio linux-aio-build
    for project in hello-static static; do
        cp -r "$away/linux-aio/examples/$project" "$away/$project"
        mv "$away/$project/Cargo.toml.in" "$away/$project/Cargo.toml"
        cat "$away/patch.toml" >>"$away/$project/.cargo/config.toml"
    done
    sysroot=$(cargo qemu sysroot x86_64-unknown-none $(static_targets | sed 's/:[a-z0-9_]*//g'))
    QEMU_USER=$(cargo qemu emulators)
    PATH=$QEMU_USER:$PATH
    export CARGO_TARGET_DIR=$target/static
    # A program of an earlier run must not stand for one that does not build.
    rm -f "$CARGO_TARGET_DIR"/{,*/}{debug,release}/{hello,read,sums,init}

    static_expect "tests of linux-aio-build" cargo test --quiet --manifest-path "$away/linux-aio-build/Cargo.toml"
    for file in Cargo.toml build.rs src/main.rs; do
        static_expect "the page has $file" static_in_page "$away/hello-static/$file"
    done

    # On this machine: unoptimised, with its tests, and the smallest.
    static_expect "tests" static_cargo hello-static test
    static_expect "backtrace" static_backtrace
    static_expect "tests of the library" static_cargo static test --lib
    for project in hello-static static; do
        static_expect "lint $project" static_cargo $project clippy --all-targets -- -D warnings
        static_expect "format $project" static_cargo $project fmt --check -- --color never
        static_expect "build $project" static_cargo $project build --release
    done
    static_expect "hello" static_hello "$CARGO_TARGET_DIR/release/hello"
    static_documented
    # 1832 bytes when this was written. `benches/ceilings.toml` has the other forms.
    static_expect "the size of hello" [ "$(stat -c %s "$CARGO_TARGET_DIR/release/hello")" -le 1920 ]
    printf %s "an example" >"$away/file"
    static_expect "read" static_prints "an example" "$CARGO_TARGET_DIR/release/read" "$away/file"
    static_expect "sums" static_prints "00000000000003db 10 $away/file" \
        "$CARGO_TARGET_DIR/release/sums" "$away/file"
    static_expect "init is the first process" static_prints "init is the first process of a system" \
        "$CARGO_TARGET_DIR/release/init"

    static_compact

    # For other targets, whose linker is named by the project.
    for pair in $(static_targets); do
        triple=${pair%%:*} emulator=${pair#*:}
        program=$CARGO_TARGET_DIR/$triple/debug/hello
        static_expect "debug $triple" static_build hello-static "$triple"
        static_expect "runs debug $triple" static_hello ${emulator:+"qemu-$emulator"} "$program"
        static_expect "release $triple" static_build hello-static "$triple" --release
        static_expect "runs $triple" static_hello ${emulator:+"qemu-$emulator"} "${program/debug/release}"
        # musl's programs are linked by the C compiler.
        if [[ $triple != *-musl ]]; then
            static_expect "compact $triple" static_build compact "$triple" --release
            static_expect "runs compact $triple" static_hello ${emulator:+"qemu-$emulator"} "${program/debug/release}"
            static_expect "the file of compact $triple" static_has_no_sections "${program/debug/release}"
        fi
    done

    # What cannot run does not link, or does not compile.
    static_refused
    for pair in $(static_kernels); do
        triple=${pair#*=} program=$CARGO_TARGET_DIR/release/init
        if [ "$triple" != "$host" ]; then
            static_expect "build $triple" static_build static "$triple" --release --bin init
            program=$CARGO_TARGET_DIR/$triple/release/init
        fi
        kernels+=("${pair%%=*}=$program")
    done
    unset CARGO_TARGET_DIR
    for pair in "${kernels[@]}"; do
        static_expect "boot ${pair%%=*}" env CARGO_TARGET_DIR="$target" cargo qemu init "$pair"
    done
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# static_unpack FOLDER PACKAGE...: packages them, unpacks the archives, and writes the lines
# of cargo's configuration that use them in place of published ones.
static_unpack() {
    local away=$1 package archive
    shift
    # Together: some depend on others, which no registry has.
    cargo package --locked --no-verify --allow-dirty --quiet "${@/#/--package=}"
    echo "[patch.crates-io]" >"$away/patch.toml"
    for package; do
        archive=$(ls -t "$target/package/$package"-[0-9]*.crate | head -n 1)
        mkdir "$away/$package"
        tar -xf "$archive" -C "$away/$package" --strip-components=1
        echo "$package = { path = \"$away/$package\" }" >>"$away/patch.toml"
    done
}

# static_expect NAME COMMAND...: runs a command, and counts it.
static_expect() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok $name"
    else
        failed=$((failed + 1))
        echo "FAILED $name: $*"
    fi
}

# static_in_page FILE: compares a file, without its comments, with docs/static.md.
static_in_page() {
    [[ $(<"$away/linux-aio/docs/static.md") == *"$(grep -v '^# ' "$1" | cat -s | sed '1{/^$/d}')"* ]]
}

static_cargo() {
    (cd "$away/$1" && shift && cargo "$@")
}

# A debugger finds the callers of the program's function, from the process entry on.
static_backtrace() {
    CARGO_PROFILE_DEV_DEBUG=1 static_cargo hello-static build || return
    gdb -quiet -batch -ex "break hello::main" -ex run -ex backtrace \
        "$CARGO_TARGET_DIR/debug/hello" | grep -E "^#[0-9]+ .* in _start \(\)$"
}

# static_build PROJECT TARGET ARGUMENT...
static_build() {
    local project=$1 triple=$2
    shift 2
    RUSTFLAGS=--sysroot=$sysroot static_cargo "$project" build --quiet --target "$triple" "$@"
}

static_hello() {
    static_prints hello "$@"
}

# static_prints TEXT COMMAND...
static_prints() {
    local text=$1
    shift
    [ "$("$@")" = "$text" ]
}

# The examples of `rt` that rustdoc cannot test, because each is a program or needs one (the
# blocks with the tag `rs`), are built from exactly their text.
static_documented() {
    local project=$away/documented count
    cp -r "$away/hello-static" "$project"
    count=$(grep -c '^//[/!] ```rs$' "$away/linux-aio/src/rt/mod.rs")
    # A new block needs a line below.
    static_expect "the examples of rt" [ "$count" -eq 5 ]
    static_example 1 >"$project/src/main.rs"
    static_expect "the first program of rt" static_missing
    static_expect "the build script of rt" diff <(static_example 2) "$project/build.rs"
    static_expect "the program of entry!" diff <(static_example 3) "$away/hello-static/src/main.rs"
    {
        printf '#![no_std]\n#![no_main]\nlinux_aio::rt::start!(run);\nlinux_aio::rt::memory_functions!();\n'
        printf 'fn run(_: linux_aio::rt::Process) -> i32 { 0 }\n'
        static_example 4
    } >"$project/src/main.rs"
    static_expect "the example of panic_handler!" static_cargo documented build --quiet
    # It has no `unwind_symbols!`, to which the tables beside debug information refer.
    CARGO_PROFILE_DEV_DEBUG=1 static_expect "the same, for a debugger" static_cargo documented build --quiet
    {
        printf '#![no_std]\n#![no_main]\nuse linux_aio::rt::Process;\nlinux_aio::entry!(main);\n'
        printf 'unsafe extern "C" fn function_of_c() -> i32 { 0 }\n'
        static_example 5
    } >"$project/src/main.rs"
    static_expect "the example of stack_protector!" static_cargo documented run --quiet
}

# static_linked PROJECT METHODS: the project's programs are linked by these methods of `Link`.
static_linked() {
    printf 'fn main() {\n    linux_aio_build::Link::from_cargo()%s.emit();\n}\n' "$2" >"$away/$1/build.rs"
}

# Compact programs, at both kinds of address: with variables and panics, and without.
static_compact() {
    local program=$CARGO_TARGET_DIR/release/hello file
    cp -r "$away/hello-static" "$away/compact"
    static_linked compact ".compact()"
    static_expect "build compact, position-independent" static_cargo compact build --release
    static_expect "hello, compact and position-independent" static_hello "$program"
    static_expect "its file" static_has_no_sections "$program"
    static_expect "its type" grep -q "DYN" <(readelf -h "$program")
    # A panic message contains addresses.
    cp "$away/compact/src/main.rs" "$away/hello.rs"
    sed 's/b"hello\\n"/\&b"hello\\n"[_process.args().count() - 1..]/' \
        "$away/hello.rs" >"$away/compact/src/main.rs"
    static_expect "addresses in constants are refused" static_fails_in compact "has an address in it" build --release
    static_linked compact ".fixed_address().compact()"
    static_expect "build compact, with a panic" static_cargo compact build --release
    static_expect "hello, compact" static_hello "$program"
    # A slice index out of range, whose message names it.
    static_expect "a panic of a compact program" grep -q "range start index 7 out of range" <("$program" 1 2 3 4 5 6 7 2>&1)
    static_expect "its file" static_has_no_sections "$program"
    sed 's/entry!(main)/entry!(main, unsafe { linux_aio::rt::OpenDescriptors::assume() })/' \
        "$away/hello.rs" >"$away/compact/src/main.rs"
    static_expect "build with open descriptors" static_cargo compact build --release
    static_expect "hello, with open descriptors" static_hello "$program"
    sed -i '1i #![forbid(unsafe_code)]' "$away/compact/src/main.rs"
    static_expect "its unsafe code is refused where unsafe code is forbidden" \
        static_fails_in compact "usage of an .unsafe. block" build --release
    sed '1i #![forbid(unsafe_code)]' "$away/hello.rs" >"$away/compact/src/main.rs"
    static_expect "build without unsafe code" static_cargo compact build --release
    cp "$away/hello.rs" "$away/compact/src/main.rs"
    # Programs with variables, of which some have an initial value, and an allocator.
    cp -r "$away/static" "$away/compact-static"
    static_linked compact-static ".fixed_address().compact()"
    static_expect "build static, compact" static_cargo compact-static build --release
    printf %s "an example" >"$away/file"
    static_expect "read, compact" static_prints "an example" "$CARGO_TARGET_DIR/release/read" "$away/file"
    static_expect "sums, compact" static_prints "00000000000003db 10 $away/file" \
        "$CARGO_TARGET_DIR/release/sums" "$away/file"
    for file in read sums; do
        static_expect "the file of $file" static_has_no_sections "$CARGO_TARGET_DIR/release/$file"
    done
    static_cargo static build --release --quiet
}

# static_has_no_sections FILE: has no section headers, no segment that is both writable and
# executable, and a stack that is not executable.
static_has_no_sections() {
    readelf -lW "$1" >"$away/segments" && grep -q "There are no sections in this file" <(readelf -SW "$1") &&
        grep -Eq "LOAD .* R E " "$away/segments" && ! grep -Eq "(LOAD|STACK) .* (RWE|WE|RW E) " "$away/segments" &&
        grep -Eq "GNU_STACK .* RW " "$away/segments"
}

# static_example NUMBER: prints that block of the documentation of `rt`.
static_example() {
    sed -n 's|^//[/!] \{0,1\}||p' "$away/linux-aio/src/rt/mod.rs" |
        awk -v wanted="$1" '/^```/ { inside = !inside; if ($0 == "```rs") at++; shown = inside && $0 == "```rs" && at == wanted; next } shown'
}

# The program reports its missing argument, and accepts one.
static_missing() {
    local said
    said=$(static_cargo documented run --quiet 2>&1)
    [ "$said" = "an argument is missing" ] && static_cargo documented run --quiet -- argument
}

# Programs that would fail at run time without a word: the linker or the compiler names the
# reason.
static_refused() {
    local project=$away/refused
    cp -r "$away/hello-static" "$project"
    # static_main: writes a program whose `answer` is on standard input.
    static_main() {
        {
            printf '#![no_std]\n#![no_main]\nlinux_aio::entry!(main);\n'
            printf 'fn main(p: linux_aio::rt::Process) -> i32 { answer(p.args().count() as i32) }\n'
            cat
        } >"$project/src/main.rs"
    }
    static_main <<<'
        #[link(name = "c")] unsafe extern "C" { fn abs(number: i32) -> i32; }
        fn answer(number: i32) -> i32 { unsafe { abs(number) } }'
    static_expect "libc is refused" static_fails "a shared library is linked" build
    static_main <<<'
        #[used] #[unsafe(link_section = ".init_array")] static BEGIN: fn() = begin;
        fn begin() {}
        fn answer(number: i32) -> i32 { number }'
    static_expect "a constructor is refused" static_fails "has constructors" build
    static_main <<<'
        core::arch::global_asm!(".section .tbss,\"awT\",@nobits", ".globl variable", "variable: .long 0", ".text");
        unsafe extern "C" { static variable: i32; }
        fn answer(number: i32) -> i32 { number + (&raw const variable).addr() as i32 }'
    static_expect "thread-local storage is refused" static_fails "thread-local storage" build
    cp "$away/hello-static/src/main.rs" "$project/src/main.rs"
    static_expect "a target without Linux is refused" \
        env RUSTFLAGS=--sysroot="$sysroot" bash -c "cd '$project' && ! cargo build --target x86_64-unknown-none 2>'$away/log' && grep 'is not Linux' '$away/log'"
}

# static_fails TEXT ARGUMENT...: expects cargo to fail with this text.
static_fails() {
    static_fails_in refused "$@"
}

# static_fails_in PROJECT TEXT ARGUMENT...
static_fails_in() {
    local project=$1 text=$2
    shift 2
    ! (cd "$away/$project" && cargo "$@") 2>"$away/log" && grep -m 1 -o "$text" "$away/log"
}
