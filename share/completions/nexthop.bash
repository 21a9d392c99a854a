# bash completion for nexthop(1)

_nexthop()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    COMPREPLY=()
    case $before in
        -f | --file | --anchor | --unbound-conf | --sts-cache | --ca-file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return ;;
        -j | --jobs)
            mapfile -t COMPREPLY < <(compgen -W '10 100 1000' -- "$word")
            return ;;
        --retry)
            mapfile -t COMPREPLY < <(compgen -W '0 1 2' -- "$word")
            return ;;
        --port)
            mapfile -t COMPREPLY < <(compgen -W '25 465 587' -- "$word")
            return ;;
        --resolver)
            mapfile -t COMPREPLY < <(compgen -W '127.0.0.1 ::1' -- "$word")
            return ;;
        --stub | --timeout | --deadline | --sts-port | --sts-forget)
            return ;;
    esac
    case $word in
        -*)
            mapfile -t COMPREPLY < <(compgen -W '--destinations --ips --tlsa --check --explain
                --file --jobs --retry --ordered --json --resolver --tls --recursive --stub --anchor
                --unbound-conf --timeout --deadline --sts --sts-cache --sts-port
                --ca-file --sts-forget --tlsrpt --port --ipv4 --ipv6 --version --help' -- "$word") ;;
        *)
            mapfile -t COMPREPLY < <(compgen -A hostname -- "$word") ;;
    esac
} &&
complete -F _nexthop nexthop
