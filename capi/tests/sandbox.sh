# Verifies that the results are the same where the kernel does not have io_pgetevents or
# a sandbox forbids it. Sourced by `run`, after `behaviour`.

sandbox=$work/sandbox
case22() {
    gcc -O2 -w -I"$ours/include" -DTEST_NAME='"cases/22.t"' "$source/harness/main.c" -o "$work/case-22" "$@"
}

# The reference skips on ENOSYS (3) and fails on EPERM (1).
case22_reference() {
    case22 "$ref_so" || return
    "$sandbox" 38 "$work/case-22"
    [ $? = 3 ] || return
    "$sandbox" 1 "$work/case-22"
    [ $? = 1 ]
}

case22_ours() {
    case22 "$ours/lib/libaio.a" || return
    "$sandbox" "$1" "$work/case-22"
}

check "the sandbox" gcc -O2 -Wall -Wextra -Werror "$programs/sandbox.c" -o "$sandbox"
check "harness 22 without io_pgetevents, the reference" case22_reference
check "harness 22 without io_pgetevents (ENOSYS)" case22_ours 38
check "harness 22 without io_pgetevents (EPERM)" case22_ours 1
traces ours-38 "$sandbox" 38 "$work/differential-ours"
traces ours-1 "$sandbox" 1 "$work/differential-ours"
i686 ours-i686-38 "$ours32/lib" "$work/differential-ours-i686" "$sandbox" 38
i686 ours-time64-1 "$ours32/lib" "$work/differential-ours-time64" "$sandbox" 1
check "random calls without io_pgetevents (ENOSYS)" same_undisturbed ours-38 reference
check "random calls without io_pgetevents (EPERM)" same_undisturbed ours-1 reference
check "random calls without io_pgetevents, i686" same_undisturbed ours-i686-38 reference-i686
check "random calls without time64 calls, i686" same_undisturbed ours-time64-1 reference-i686
