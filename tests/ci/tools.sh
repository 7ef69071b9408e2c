# The programs that the tests need. Sourced.

# Debian packages. The C compiler and the kernel headers verify structures and numbers,
# strace the system calls made, valgrind the instructions, and gdb backtraces. The fuzzer
# is C++. The copies preserve access lists and attributes. bindfs is a file system that can
# stop responding.
packages=(gcc g++ libc6-dev linux-libc-dev binutils strace valgrind gdb acl attr bindfs)
# For the C interface: the reference, the dependencies of its source and its tests, and
# the programs that link it.
packages+=(libaio-dev dpkg-dev make pkgconf e2fsprogs groff-base)
packages+=(fio qemu-utils lvm2 thin-provisioning-tools stressapptest mariadb-server-core)
if [ "$(uname -m)" = x86_64 ]; then
    packages+=(gcc-i686-linux-gnu libc6-dev-i386-cross)
    packages+=(gcc-s390x-linux-gnu libc6-dev-s390x-cross)
    packages+=(gcc-arm-linux-gnueabihf libc6-dev-armhf-cross)
    packages+=(gcc-riscv64-linux-gnu libc6-dev-riscv64-cross)
fi

tools() {
    local package program missing=()
    for program in cargo rustc rustfmt cargo-clippy; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if [ ${#missing[@]} != 0 ]; then
        echo "missing: ${missing[*]} (install Rust with rustup, components rustfmt and clippy)"
        return 1
    fi
    for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} != 0 ] || return 0
    echo "to install: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        echo "not root, so nothing was installed. As root: apt-get install ${missing[*]}"
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || return
    # No installed package is removed for it.
    apt-get install -qq --no-install-recommends --no-remove "${missing[@]}"
}

# static_elf FILE [MACHINE]: verifies that FILE is a static executable without
# dependencies, at a fixed address or position-independent, for MACHINE as readelf prints
# it.
static_elf() {
    local file=$1 machine=${2:-} header segments dynamic symbols undefined
    header=$(LC_ALL=C readelf -hW "$file") || return
    segments=$(LC_ALL=C readelf -lW "$file") || return
    dynamic=$(LC_ALL=C readelf -dW "$file") || return
    symbols=$(LC_ALL=C readelf -sW "$file") || return
    case $header in
    *"Type: "*EXEC*)
        if grep -E '^ *DYNAMIC ' <<<"$segments"; then
            echo "$file: not static"
            return 1
        fi ;;
    *"Type: "*DYN*) ;;
    *)
        echo "$file: no executable"
        return 1 ;;
    esac
    if [ -n "$machine" ] && ! grep -Eq "^ *Machine: *$machine\$" <<<"$header"; then
        echo "$file: not for $machine"
        return 1
    fi
    if grep -E '^ *INTERP ' <<<"$segments" || grep -E '\((NEEDED|TEXTREL)\)' <<<"$dynamic"; then
        echo "$file: not static"
        return 1
    fi
    if ! grep -q ' FUNC ' <<<"$symbols"; then
        echo "$file: no symbols to look at"
        return 1
    fi
    undefined=$(awk '$7 == "UND" && $8 != "" { print $8 }' <<<"$symbols")
    if [ -n "$undefined" ]; then
        echo "$file: undefined: ${undefined//$'\n'/ }"
        return 1
    fi
    echo "$file: static, no undefined symbol, $(stat -c %s "$file") bytes"
}
