# bash completion for nexthop(1)

_nexthop()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    COMPREPLY=()
    case $before in
        -f | --file | --anchor | --unbound-conf | --ca-file | --sts-cache | --rollover | --make-tlsa)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return ;;
        -j | --jobs)
            mapfile -t COMPREPLY < <(compgen -W '10 100 1000' -- "$word")
            return ;;
        --retry)
            mapfile -t COMPREPLY < <(compgen -W '0 1 2' -- "$word")
            return ;;
        --port | --connect-port)
            mapfile -t COMPREPLY < <(compgen -W '25 465 587 993 995' -- "$word")
            return ;;
        --resolver)
            mapfile -t COMPREPLY < <(compgen -W '127.0.0.1 ::1' -- "$word")
            return ;;
        --warning | --critical)
            mapfile -t COMPREPLY < <(compgen -W '3 7 14 30' -- "$word")
            return ;;
        --format)
            mapfile -t COMPREPLY < <(compgen -W 'nagios openmetrics' -- "$word")
            return ;;
        --keys)
            mapfile -t COMPREPLY < <(compgen -W 'any rsa ecdsa rsa,ecdsa ed25519' -- "$word")
            return ;;
        --at)
            mapfile -t COMPREPLY < <(compgen -W '+30d' -- "$word")
            return ;;
        --helo)
            mapfile -t COMPREPLY < <(compgen -A hostname -- "$word")
            return ;;
        --usage)
            mapfile -t COMPREPLY < <(compgen -W '2 3' -- "$word")
            return ;;
        --selector)
            mapfile -t COMPREPLY < <(compgen -W '0 1' -- "$word")
            return ;;
        --match)
            mapfile -t COMPREPLY < <(compgen -W '0 1 2' -- "$word")
            return ;;
        --cache)
            mapfile -t COMPREPLY < <(compgen -W '8m 32m 128m' -- "$word")
            return ;;
        --since)
            mapfile -t COMPREPLY < <(compgen -W '-6h -1d' -- "$word")
            return ;;
        --assume | --stub | --timeout | --deadline | --step | --source | --sts-port | --sts-forget)
            return ;;
    esac
    case $word in
        -*)
            mapfile -t COMPREPLY < <(compgen -W '--destinations --ips --tlsa --check --explain --verify
                --rollover --make-tlsa --assume --since --usage --selector --match
                --authoritative --warning --critical --quiet --format
                --keys --connect-port --smtps --helo --source --step --at --ca-file --global-only --down
                --file --jobs --retry --ordered --json --resolver --tls --recursive --stub --anchor
                --unbound-conf --timeout --cache --deadline --sts --sts-cache --sts-port
                --sts-forget --tlsrpt --port --ipv4 --ipv6 --version --help' -- "$word") ;;
        *)
            mapfile -t COMPREPLY < <(compgen -A hostname -- "$word") ;;
    esac
} &&
complete -F _nexthop nexthop
