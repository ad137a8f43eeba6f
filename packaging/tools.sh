# What the scripts share: finding or installing what they need. Sourced, not run.
# shellcheck shell=bash

# Programs that are built or downloaded once a machine, not once a checkout.
tools_cache=${PINFOLD_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pinfold}

say() { printf '%s\n' "$*" >&2; }

# need_debian_packages PROGRAM:PACKAGE… — installs the packages whose programs are missing, as root; else names them.
# A PROGRAM that begins with / is a file.
need_debian_packages() {
    local pair missing=()
    for pair in "$@"; do
        case "$pair" in
            /*) [ -e "${pair%%:*}" ] || missing+=("${pair#*:}") ;;
            *) command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair#*:}") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        say "missing: ${missing[*]}. Install with: sudo apt-get install ${missing[*]}"
        return 1
    fi
    say "installing: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"; } \
        > "$log" 2>&1 < /dev/null; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# need_cargo_tool NAME VERSION [CARGO INSTALL FLAG…] — a pinned cargo subcommand in the cache, first in PATH.
need_cargo_tool() {
    local name=$1 version=$2 root
    shift 2
    root=$tools_cache/tools/$name-$version
    PATH=$root/bin:$PATH
    [ -x "$root/bin/$name" ] && return 0
    say "building $name $version (once a machine)"
    CARGO_TARGET_DIR=$tools_cache/build cargo install --quiet "$name" --version "$version" --locked --root "$root" "$@" >&2
    rm -rf "$tools_cache/build"
}

# can_mount — whether this process has CAP_SYS_ADMIN (bit 21).
can_mount() { [ $((0x$(awk '/^CapEff:/ { print $2 }' /proc/self/status) >> 21 & 1)) = 1 ]; }
