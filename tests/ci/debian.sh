# Debian packages without installing them: an apt with private state that sees
# one suite, and `dpkg-deb` into a folder. Sourced; needs $cache.

# The mirror is the machine's own choice, whichever format its sources have:
# apt itself is asked, first for what it knows to be Debian's; before any
# `apt-get update` it knows none, and the suite's name decides.
debian_mirror() {
    local found=${DEBIAN_MIRROR:-}
    # shellcheck disable=SC2016 # apt's variables
    [ -n "$found" ] ||
        found=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
            awk '$1 == "Debian" && $2 == "main" && $3 !~ /-security|\// && !n++ { print $4 }')
    [ -n "$found" ] ||
        found=$(apt-get update --print-uris -o Debug::NoLocking=true | sed -nE \
            "s#^'(.*)/dists/(stable|oldstable|testing|unstable|sid|bookworm|trixie|forky)/InRelease'.*#\\1#p" | sed -n 1p)
    if [ -z "$found" ]; then
        echo "no Debian mirror in this machine's apt sources: set DEBIAN_MIRROR" >&2
        return 1
    fi
    echo "${found%/}"
}

# debian_apt SUITE COMMAND...: an apt command that sees SUITE alone. The
# machine's proxies and credentials still apply; its sources, lists and
# package state do not.
debian_apt() {
    local suite=$1 state=$cache/apt/$1 command=$2
    shift 2
    "$command" \
        -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache" \
        -o Dir::State::Status="$state/status" -o Acquire::Languages=none \
        -o Dir::Log="$state" -o Acquire::Retries=3 -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true "$@"
}

# debian_update SUITE: fetches its index, at most once a day.
debian_update() {
    local state=$cache/apt/$1 mirror keys=/usr/share/keyrings/debian-archive-keyring.gpg option=
    mirror=$(debian_mirror) || return
    case $1 in *-security) mirror+=-security ;; esac
    local source="$mirror $1 main"
    if [ -n "$(find "$state/updated" -mtime -1 2>/dev/null)" ] && [ "$(cat "$state/updated")" = "$source" ]; then
        return
    fi
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/status"
    [ ! -e "$keys" ] || option="[signed-by=$keys] "
    echo "deb $option$source" >"$state/sources.list"
    debian_apt "$1" apt-get update -qq --error-on=any || return
    echo "$source" >"$state/updated"
}

# debian_version SUITE PACKAGE PREFIX: the newest version that starts so.
debian_version() {
    debian_apt "$1" apt-cache madison "$2" | awk -v prefix="$3" 'index($3, prefix) == 1 { print $3; exit }'
}

# debian_download SUITE FOLDER PACKAGE[=VERSION]...
debian_download() {
    local suite=$1 folder=$2
    shift 2
    mkdir -p "$folder"
    (cd "$folder" && debian_apt "$suite" apt-get download -qq "$@")
}

# debian_missing SUITE PACKAGE=VERSION: PACKAGE and what of its dependencies
# this machine lacks, by a simulated installation over its real package state.
debian_missing() {
    debian_apt "$1" apt-get install -qq --simulate --no-install-recommends \
        -o Dir::State::Status=/var/lib/dpkg/status "$2" |
        awk '$1 == "Inst" { v = ""; for (i = 3; i <= NF; i++) if ($i ~ /^\(/) { v = substr($i, 2); break }; print $2 "=" v }'
}

# debian_unpack FOLDER DEB...
debian_unpack() {
    local folder=$1 deb
    shift
    mkdir -p "$folder"
    for deb; do
        dpkg-deb -x "$deb" "$folder" || return
    done
}
