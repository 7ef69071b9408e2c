# Runs libaio's own tests, from Debian's source package, with both libraries: all cases,
# including those that `make partcheck` omits. Sourced by `run`.

harness=$work/harness
variants=(reference ours ours-static ours-i686)
cases=($(cd "$source/harness/cases" && ls *.t | sed 's/\.t$//' | sort -n))
# This case uses up fs.aio-max-nr, so it runs when no other does.
alone=20

# build VARIANT COMPILER INCLUDE LIBRARY...: builds all cases.
build() {
    local variant=$1 compiler=$2 include=$3 case flags=()
    shift 3
    mkdir -p "$harness/$variant/cases"
    for case in "${cases[@]}"; do
        (cd "$source/harness" && "$compiler" -O2 -w -I"$include" -DTEST_NAME="\"cases/$case.t\"" \
            -o "$harness/$variant/cases/$case" main.c "$@" -lpthread) || return
    done
}

# run_case VARIANT CASE: runs a case and writes its exit status to a file.
run_case() {
    local command=("cases/$2")
    cd "$harness/$1" || return
    [ "$1" != ours-i686 ] || command=("${i686_run[@]}" "$ours32/lib:/usr/i686-linux-gnu/lib" "cases/$2")
    # This case needs 768 MiB twice.
    [ "$2" != 14 ] || command=(flock ../lock "${command[@]}")
    timeout 180 "${command[@]}" >"$2.log" 2>&1
    echo $? >"$2.status"
}

# Creates the files that the Makefile of the harness creates.
files() {
    local name
    mkdir -p "$1/testdir" "$1/testdir.enospc" "$1/testdir.ext2"
    for name in rofile:400 wofile:200 rwfile:600; do
        rm -f "$1/testdir/${name%:*}"
        echo test >"$1/testdir/${name%:*}"
        chmod "${name#*:}" "$1/testdir/${name%:*}"
    done
}

# Runs the cases that need their own file system.
on_file_systems() {
    local folder=$harness/$1
    cp "$source/harness/ext2-enospc.img" "$folder/enospc.img"
    truncate -s 10M "$folder/ext2.img"
    mke2fs -q -F -b 4096 "$folder/ext2.img"
    mount -o loop -t ext2 "$folder/enospc.img" "$folder/testdir.enospc" && run_case "$1" 10
    mount -o loop -t ext2 "$folder/ext2.img" "$folder/testdir.ext2" && run_case "$1" 8
    umount "$folder/testdir.enospc" "$folder/testdir.ext2"
}

run_variant() {
    local case long
    files "$harness/$1"
    # This case waits most of the time.
    run_case "$1" 18 &
    long=$!
    for case in "${cases[@]}"; do
        case $case in
        8 | 10 | 18 | "$alone") ;;
        *) (run_case "$1" "$case") ;;
        esac
    done
    (on_file_systems "$1")
    wait "$long"
}

# Verifies that a case passed with our libraries. A skipped case has not passed.
passes() {
    local variant status line= bad=0
    for variant in "${variants[@]}"; do
        status=$(cat "$harness/$variant/$1.status" 2>/dev/null || echo "not run")
        line+=" $variant ${status/#0/passed}"
        if [ "$status" != 0 ] && [[ $variant == ours* ]]; then
            bad=1
            echo "$variant:"
            tail -n 5 "$harness/$variant/$1.log"
        fi
    done
    echo "note:$line"
    return "$bad"
}

rm -rf "$harness"
compiled() {
    build reference gcc "$source/src" "$ref_so" &&
        build ours gcc "$ours/include" "$ours/lib/libaio.so" -Wl,-rpath,"$ours/lib" &&
        build ours-static gcc "$ours/include" "$ours/lib/libaio.a"
}
# Builds as Debian does: otherwise case 23 passes a 32-bit off_t.
compiled_i686() {
    build ours-i686 i686-linux-gnu-gcc "$ours32/include" -D_FILE_OFFSET_BITS=64 "$ours32/lib/libaio.so"
}
check "libaio's harness" compiled
check "libaio's harness, i686" compiled_i686
for variant in "${variants[@]}"; do
    run_variant "$variant" &
done >"$work/logs/harness-run" 2>&1
wait
# Runs the case that uses up all contexts. Contexts of other processes count as well and
# make it fail, so it has four attempts. Tests that use the same lock wait meanwhile.
use_up_contexts() {
    flock 8
    for variant in "${variants[@]}"; do
        for _ in 1 2 3 4; do
            for _ in $(seq 100); do
                [ "$(cat /proc/sys/fs/aio-nr)" != 0 ] || break
                sleep 0.1
            done
            (run_case "$variant" "$alone")
            [ "$(cat "$harness/$variant/$alone.status")" != 0 ] || break
        done
    done
}
use_up_contexts 8>"${AIO_LOCK:-$work/lock}"
for case in "${cases[@]}"; do
    check "harness $case" passes "$case"
done
