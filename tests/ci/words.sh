# Checks public prose for private words. Sourced.

# Prints the lines of prose, each with its file and number.
prose() {
    grep -rnE '^\s*//[/!]' --include='*.rs' src arch capi/src tokio/src
    grep -nE '' README.md build/README.md aio/README.md capi/README.md tokio/README.md CONTRIBUTING.md SECURITY.md docs/*.md
}

words() {
    local pattern instead found bad=0
    while IFS=$'\t' read -r pattern instead; do
        case $pattern in '#'* | '') continue ;; esac
        found=$(prose | grep -E "^[^:]*:[0-9]+:.*($pattern)" | grep -v '^docs/\(performance\|unsafe\)\.md:' || true)
        if [ -n "$found" ]; then
            bad=1
            printf '%s\n    write: %s\n' "$found" "$instead"
        fi
    done <tests/ci/words.list
    return $bad
}
