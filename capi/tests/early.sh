# Verifies properties that libaio does not have: no need of a libc, no fault on a bad
# context, and a ring that is read beside other readers. Sourced by `run`.

# freestanding COMPILER ARGUMENT...: builds and runs a program without a C library.
freestanding() {
    local cc=$1
    shift
    "$cc" -O2 -Wall -Wextra -Werror -nostdlib -I"$ours/include" "$programs/early.c" "$@" -o "$work/early" || return
    "$work/early" <"$programs/early.c" || return
    ! readelf -dW "$work/early" | grep NEEDED | grep -v libaio
}

# While a static program is relocated, errno does not exist yet: the archive of libaio
# faults there.
ifunc() {
    gcc -O2 -Wall -Wextra -Werror -fPIE -I"$ours/include" "$programs/ifunc.c" "$@" -o "$work/ifunc" &&
        "$work/ifunc"
}
ifunc_fault() {
    ifunc "$@"
    [ $? = 139 ]
}

# polled PROGRAM LIBRARIES: verifies that an empty ring costs no system call and a ready
# one costs one.
polled() {
    local log=$work/polled.strace
    gcc -O2 -Wall -Wextra -Werror -I"$ours/include" "$programs/polls.c" -o "$work/polls" "$@" || return
    strace -o "$log" "$work/polls" 100 || return
    sed -n '/^write(2, "\["/,/^write(2, "\]"/p' "$log" >"$log.between"
    [ "$(grep -c . "$log.between")" = 2 ] || return
    [ "$(grep -cE '^io_p?getevents' "$log")" = 1 ]
}

stress() {
    gcc -O2 -Wall -Wextra -Werror -pthread -I"$ours/include" "$programs/stress.c" "$ours/lib/libaio.a" -o "$work/stress" &&
        timeout 60 "$work/stress" "$1"
}

garbage() {
    gcc -O2 -Wall -Wextra -Werror -I"$ours/include" "$programs/garbage.c" "$@" -o "$work/garbage" && "$work/garbage"
}

# waits FLAG...: builds and runs an i686 program with a time of either width.
waits() {
    i686-linux-gnu-gcc -O2 -Wall -Wextra -Werror "$@" -I"$ours/include" "$programs/time.c" \
        "$ours32/lib/libaio.so" -o "$work/time" &&
        "${i686_run[@]}" "$ours32/lib:/usr/i686-linux-gnu/lib" "$work/time"
}

# enters_by_vdso LIBRARY: verifies that a system call of the library enters the kernel in
# the vDSO, as those of the C library do.
enters_by_vdso() {
    local run=("${i686_run[@]}" "$1:/usr/i686-linux-gnu/lib" "$work/time") vdso at
    i686-linux-gnu-gcc -O2 -I"$ours/include" "$programs/time.c" "$ours32/lib/libaio.so" -o "$work/time" || return
    vdso=$(setarch -R env LD_SHOW_AUXV=1 "${run[@]}" | sed -n 's/^AT_SYSINFO: *//p')
    setarch -R strace -i -e trace=io_setup -o "$work/vdso" "${run[@]}" || return
    at=0x$(sed -n 's/^\[\(.*\)\] io_setup.*/\1/p' "$work/vdso" | head -n 1)
    echo "note: at $at, vDSO's entry $vdso"
    [ $((at - vdso)) -gt 0 ] && [ $((at - vdso)) -lt 64 ]
}

check "no libc, static" freestanding gcc -static "$ours/lib/libaio.a"
check "no libc, static-pie" freestanding gcc -static-pie -fPIE "$ours/lib/libaio.a"
check "no libc, the shared library alone" freestanding gcc "$ours/lib/libaio.so" -Wl,-rpath,"$ours/lib"
check "no libc, i686" freestanding i686-linux-gnu-gcc -static "$ours32/lib/libaio.a"
check "before libc's start, static" ifunc -static "$ours/lib/libaio.a"
check "before libc's start, static-pie" ifunc -static-pie "$ours/lib/libaio.a"
check "before libc's start, shared" ifunc -pie "$ours/lib/libaio.so" -Wl,-rpath,"$ours/lib"
check "before libc's start, libaio's own faults" ifunc_fault -static "$ref_a"
check "an empty ring costs no system call" polled "$ours/lib/libaio.a"
check "an empty ring of the reference" polled "$ref_a"
check "a bad context is refused, not read" garbage "$ours/lib/libaio.a"
check "32-bit time, i686" waits
check "64-bit time, i686" waits -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64
check "system calls by the vDSO, i686" enters_by_vdso "$ours32/lib"
check "system calls by the vDSO, the reference" enters_by_vdso "$ref13_32"
check "threads" stress 1.5
