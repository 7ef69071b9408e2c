# The sources of Rust's library, of exactly the compiler's version, so that
# core and std can be built for targets that no package brings. Sourced; needs
# $cache and debian.sh. `rust_src` sets $library, and $compiler to the compiler
# that it belongs to. RUST_SRC names one way; else the first that works serves:
#   toolchain   rust-src is there already
#   rustup      downloads the component; the toolchain itself stays as it is
#   debian      Debian's rust-src, from whichever suite has this version
#   debian-web  Debian's rustc-web and rust-web-src: another compiler, but
#               always a matching pair, since one source package makes both

rust_src() {
    local way ways=${RUST_SRC:-toolchain rustup debian debian-web}
    compiler=$(rustup which rustc 2>/dev/null || command -v rustc) || return
    sysroot=$("$compiler" --print sysroot)
    release=$("$compiler" -vV | sed -n 's/^release: //p')
    for way in $ways; do
        library=
        if "rust_src_${way//-/_}" && [ -f "$library/Cargo.lock" ] && [ -f "$library/core/src/lib.rs" ]; then
            echo "library sources of $("$compiler" -V), way '$way': $library"
            return
        fi
        echo "library sources: way '$way' gave none"
    done
    return 1
}

rust_src_toolchain() {
    library=$sysroot/lib/rustlib/src/rust/library
}

# rustup adds components to a toolchain in place. It is given a shadow of this
# one, made of nothing but its manifests, so that the sources land in the cache.
rust_src_rustup() {
    local home=$cache/rustup name shadow
    name=$(basename "$sysroot")
    shadow=$home/toolchains/$name/lib/rustlib
    library=$shadow/src/rust/library
    [ ! -f "$library/core/src/lib.rs" ] || [ "$(cat "$home/release")" != "$release" ] || return 0
    command -v rustup >/dev/null && [ -f "$sysroot/lib/rustlib/multirust-channel-manifest.toml" ] || return
    rm -rf "$home"
    mkdir -p "$shadow"
    find "$sysroot/lib/rustlib" -maxdepth 1 -type f -exec cp {} "$shadow" \;
    RUSTUP_HOME=$home timeout 90 rustup component add --toolchain "$name" rust-src || return
    echo "$release" >"$home/release"
}

rust_src_debian() {
    local folder=$cache/rust-src-$release suite version
    library=$folder/library
    [ ! -f "$folder/complete" ] || return 0
    case $release in *-*) return 1 ;; esac # a nightly or beta is in no suite
    for suite in trixie-backports sid forky experimental trixie; do
        debian_update "$suite" || continue
        version=$(debian_version "$suite" rust-src "$release+")
        [ -n "$version" ] || continue
        debian_download "$suite" "$folder/debs" "rust-src=$version" || continue
        dpkg-deb --fsys-tarfile "$folder"/debs/rust-src_*.deb |
            tar -x -C "$folder" --strip-components=4 --wildcards './usr/src/rustc-*/library' &&
            rm -r "$folder/debs" && touch "$folder/complete" && return
    done
    return 1
}

rust_src_debian_web() {
    debian_rustc bookworm-security "" rust-web-src || return
    library=$debian_rustc_root/usr/lib/rustlib/src/rust/library
    compiler=$debian_rustc
}

# debian_rustc SUITE VERSION-PREFIX [PACKAGE]...: rustc-web, what it needs, and
# packages of the same version, unpacked. Sets $debian_rustc to a command that
# runs it and $debian_rustc_root to the folder.
debian_rustc() {
    local suite=$1 version folder triple
    debian_update "$suite" || return
    version=$(debian_version "$suite" rustc-web "$2")
    [ -n "$version" ] || { echo "$suite has no rustc-web $2" >&2; return 1; }
    shift 2
    folder=$cache/rustc-web-${version%%+*}
    debian_rustc_root=$folder/root
    debian_rustc=$folder/rustc
    [ ! -f "$folder/complete" ] || return 0
    rm -rf "$folder"
    # shellcheck disable=SC2046 # one word a package
    debian_download "$suite" "$folder/debs" $(debian_missing "$suite" "rustc-web=$version") "${@/%/=$version}" &&
        debian_unpack "$debian_rustc_root" "$folder"/debs/*.deb || return
    rm -r "$folder/debs"
    triple=$(gcc -print-multiarch)
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' \
        "$debian_rustc_root/usr/lib/$triple" "$debian_rustc_root/usr/bin/rustc" >"$debian_rustc"
    chmod +x "$debian_rustc"
    "$debian_rustc" -vV && touch "$folder/complete"
}
