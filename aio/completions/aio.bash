# Made from help/ by tests/pages.rs.
_aio() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=
    local before=${COMP_WORDS[COMP_CWORD - 1]}
    if [ "$COMP_CWORD" = 1 ]; then
        words="copy bench probe who help --help --version"
    else
        case $command:$before in
        help:*) words="copy bench probe who" ;;
        copy:--engine) words="aio kernel auto" ;;
        copy:--depth) words="" ;;
        copy:--block) words="" ;;
        copy:--preserve) words="mode ownership timestamps xattr all" ;;
        copy:--sparse) words="auto always never" ;;
        bench:--block) words="" ;;
        bench:--depth) words="" ;;
        bench:--seconds) words="" ;;
        bench:--size) words="" ;;
        bench:--color) words="auto always never" ;;
        probe:--color) words="auto always never" ;;
        who:--color) words="auto always never" ;;
        *)
            case $word in
            -*)
                case $command in
                copy) words="--engine --depth --block --direct --preserve --sparse --verbose --quiet --progress --no-progress --help" ;;
                bench) words="--block --depth --seconds --buffered --size --write --overwrite --json --color --help" ;;
                probe) words="--json --quiet --syscalls --color --help" ;;
                who) words="--json --watch --color --help" ;;
                esac
                ;;
            esac
            ;;
        esac
    fi
    # shellcheck disable=SC2207 # none of the words has a space
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o bashdefault -o default -F _aio aio
