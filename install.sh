#!/bin/sh
# install.sh install|uninstall
#
# Copies what `make` has built to its places, or removes it from there. `make install` and `make uninstall`
# call this script. The table below is the list of what goes where.
#
# `make` passes LUA (the interpreter), BUILD (the folder of its build), PREFIX and DESTDIR. The variables
# that have a default here (SYSCONFDIR, DOCDIR ...) may be given too: make install DOCDIR=/usr/doc/nexthop
set -eu
cd "$(dirname "$0")"
: "${LUA:?}" "${BUILD:?}" "${PREFIX:?}" "${DESTDIR=}"

# LuaJIT looks for modules in the folders of Lua 5.1.
if [ "$LUA" = luajit ]; then abi=5.1; else abi=${LUA#lua}; fi

# The folder below PREFIX where this Lua looks for C modules. On Debian LuaJIT looks only in
# lib/x86_64-linux-gnu/lua/5.1, and the name differs on other machines: so the interpreter is asked.
c_modules() {
    paths=$(env -u LUA_PATH -u LUA_CPATH "$LUA" -e 'print(package.cpath)' 2>/dev/null) || paths=
    for path in $(echo "$paths" | tr ';' ' '); do
        folder=${path%/\?.so}
        case $folder in "$PREFIX"/lib*/lua/"$abi") echo "$folder"; return ;; esac
    done
    echo "$PREFIX/lib/lua/$abi"
}

: "${LUA_LMOD=$PREFIX/share/lua/$abi}"
: "${LUA_CMOD=$(c_modules)}"
: "${SYSCONFDIR=/etc}"
: "${DOCDIR=$PREFIX/share/doc/nexthop}"
: "${FILTERDIR=$PREFIX/libexec/opensmtpd}" # smtpd looks here for its tables, and for a filter that has no path
zsh=site-functions
if [ "$PREFIX" = /usr ] && [ -e /etc/debian_version ]; then zsh=vendor-completions; fi
: "${ZSHDIR=$PREFIX/share/zsh/$zsh}"

# WHOSE says when a line counts:
#   module   installed once for each Lua
#   luajit   the same, but only for LuaJIT and Lua 5.1: rspamd runs LuaJIT
#   program  a program. It is for the Lua that its first line names.
#   common   the same file for every Lua
# FROM is a file, a pattern, or a folder with all that is in it (then it ends in /). A TO that ends in / is a
# folder, where the file keeps its name.
table() {
    cat <<END
# WHOSE  MODE  FROM                               TO
module   0644  $BUILD/nexthop/core.so             $LUA_CMOD/nexthop/
module   0644  lua/                               $LUA_LMOD/
luajit   0644  share/rspamd/plugins.d/*.lua       $SYSCONFDIR/rspamd/plugins.d/
luajit   0644  share/rspamd/modules.d/*.conf      $SYSCONFDIR/rspamd/modules.d/
program  0755  $BUILD/bin/nexthop                 $PREFIX/bin/
program  0755  $BUILD/bin/nexthop-server          $PREFIX/sbin/
program  0755  $BUILD/bin/nexthop-monitor         $PREFIX/sbin/
program  0755  $BUILD/bin/filter-nexthop          $FILTERDIR/
program  0755  $BUILD/bin/table-nexthop           $FILTERDIR/
common   0644  share/systemd/*.service            $PREFIX/lib/systemd/system/
common   0644  share/systemd/*.socket             $PREFIX/lib/systemd/system/
common   0644  share/sysusers.d/*.conf            $PREFIX/lib/sysusers.d/
common   0644  share/completions/nexthop.bash     $PREFIX/share/bash-completion/completions/nexthop
common   0644  share/completions/_nexthop         $ZSHDIR/
common   0644  man/*.1                            $PREFIX/share/man/man1/
common   0644  man/*.3                            $PREFIX/share/man/man3/
common   0644  man/*.8                            $PREFIX/share/man/man8/
common   0644  README.md                          $DOCDIR/
common   0644  docs/                              $DOCDIR/docs/
common   0644  CHANGELOG.md                       $DOCDIR/
common   0644  SECURITY.md                        $DOCDIR/
common   0644  LICENSE                            $DOCDIR/
common   0644  examples/                          $DOCDIR/examples/
END
}

# An earlier version installed the section of rspamd's plugin here. rspamd would read both.
former=$SYSCONFDIR/rspamd/modules.local.d/nexthop.conf

# each WHOSE COMMAND: runs COMMAND MODE FROM TO for each file of these lines of the table.
each() {
    table | while read -r whose mode from to; do
        if [ "$whose" != "$1" ]; then continue; fi
        case $from in
            */) find "$from" -type f | LC_ALL=C sort | while read -r file; do
                    "$2" "$mode" "$file" "$to${file#"$from"}" || exit
                done || exit ;;
            *)  for file in $from; do
                    case $to in
                        */) "$2" "$mode" "$file" "$to${file##*/}" || exit ;;
                        *) "$2" "$mode" "$file" "$to" || exit ;;
                    esac
                done ;;
        esac
    done
}

put() {
    mkdir -p "$DESTDIR${3%/*}" && install -m "$1" "$2" "$DESTDIR$3" && echo "$DESTDIR$3"
}

remove() {
    echo "$DESTDIR$3" && rm -f "$DESTDIR$3"
}

# True, and a message, when the program of that line is installed for another Lua.
is_for_another() {
    [ -e "$DESTDIR$3" ] && [ "$(head -n 1 "$DESTDIR$3")" != "#!/usr/bin/env $LUA" ] || return 1
    echo "$DESTDIR$3: stays, it is for another Lua" >&2
}

# `make install LUA=luajit` is for rspamd. It must not turn the filter of Lua 5.4 into one that needs an
# interpreter which may not be there. Lua 5.4 is the usual one, and replaces the programs of the others.
put_program() { [ "$LUA" != lua5.4 ] && is_for_another "$@" || put "$@"; }
remove_program() { is_for_another "$@" || remove "$@"; }

note_other() { if is_for_another "$@" 2>/dev/null; then echo "$3"; fi; }

case ${1:-} in
    install)
        each module put
        if [ "$abi" = 5.1 ]; then each luajit put; fi
        each program put_program
        each common put
        rm -f "$DESTDIR$former"
        ;;
    uninstall)
        # Programs of another Lua stay, and with them what is common to all.
        others=$(each program note_other)
        each module remove
        if [ "$abi" = 5.1 ]; then each luajit remove; fi
        each program remove_program
        if [ -z "$others" ]; then each common remove; fi
        rm -f "$DESTDIR$former"
        for own in "$LUA_CMOD/nexthop" "$LUA_LMOD/nexthop" "$DOCDIR"; do
            if [ -d "$DESTDIR$own" ]; then find "$DESTDIR$own" -depth -type d -empty -delete; fi
        done
        ;;
    *)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
