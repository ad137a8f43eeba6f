# Parts of tests/package/run. Sourced, not run.
# shellcheck shell=bash disable=SC2154  # root, work, s3 … are the caller's

passed=0 failed=0 skipped=0
pass() { passed=$((passed + 1)); echo "ok      $1"; }
fail() { failed=$((failed + 1)); echo "FAILED  $1"; }
skip() { skipped=$((skipped + 1)); echo "skipped: $1: needs $2"; }

# check NAME COMMAND… — the command's output is shown only if it fails.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        pass "$name"
    else
        fail "$name"
        printf '%s\n' "$output" | tail -40 | sed 's/^/        /'
        [ -e "$work/daemon.log" ] && tail -20 "$work/daemon.log" | sed 's/^/        daemon: /'
        return 1
    fi
}

# says TEXT COMMAND… — the command prints exactly that.
says() {
    local want=$1 got
    shift
    got=$("$@") && [ "$got" = "$want" ] && return 0
    printf 'wanted: %s\ngot:    %s\n' "$want" "$got"
    return 1
}

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
}

free_port() {
    python3 - <<'PYTHON' 2>/dev/null || shuf -i 20000-30000 -n 1
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])
PYTHON
}

# until_true SECONDS COMMAND… — a deadline, not a pace: the first success ends it.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# ---- the root
make_root() {
    local code cached
    code=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    cached=$tools_cache/debian-$code.tar
    mkdir -p "$tools_cache/apt/partial" "$root"
    if [ -z "$(find "$cached" -mtime -7 2>/dev/null)" ]; then
        mmdebstrap --quiet --format=tar --variant=minbase "$code" "$cached.new" >&2 && mv "$cached.new" "$cached" || return 1
    fi
    tar -C "$root" -xf "$cached" || return 1
    furnish_root || return 1
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    echo 'APT::Keep-Downloaded-Packages "true";' > "$root/etc/apt/apt.conf.d/99keep"
}

# What a running system would have: /proc, devices with the modes that a Debian host gives them, the archive of packages
# that were fetched once, and no start of services by package scripts.
furnish_root() {
    local node kind major minor
    mount -t proc proc "$root/proc" || return 1
    mount -t tmpfs -o mode=755 tmpfs "$root/dev" || return 1
    for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
        IFS=: read -r kind major minor <<< "$node"
        mknod -m 666 "$root/dev/$kind" c "$major" "$minor" || return 1
    done
    mount --bind "$tools_cache/apt" "$root/var/cache/apt/archives" || return 1
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
}

in_root() { DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot "$root" "$@" < /dev/null; }

install_deb() {
    cp "$1" "$root/tmp/"
    in_root apt-get -qy --no-install-recommends install "/tmp/$(basename "$1")" && return 0
    in_root apt-get -q update && in_root apt-get -qy --no-install-recommends install "/tmp/$(basename "$1")"
}

verify_unit() {
    # `systemd-analyze` speaks of every unit; only lines about ours count.
    local said
    said=$(in_root systemd-analyze verify pinfold.service 2>&1 | grep -i pinfold | grep -v 'man pinfold')
    [ -z "$said" ] || { echo "$said"; return 1; }
}

# ---- the daemon, as the unit starts it
daemon_pid=""
start_daemon() {
    PINFOLD_ROOT_ACCESS_KEY=$access PINFOLD_ROOT_SECRET_KEY=$secret chroot "$root" setpriv --reuid pinfold --regid pinfold \
        --clear-groups --inh-caps=-all,+sys_admin --ambient-caps=-all,+sys_admin --bounding-set=-all,+sys_admin \
        --no-new-privs pinfold serve < /dev/null >> "$work/daemon.log" 2>&1 &
    daemon_pid=$!
    echo "$daemon_pid" > "$work/daemon.pid"
    until_true 60 ready_or_dead && curl -sf "$admin/health/ready"
}
ready_or_dead() { ! kill -0 "$daemon_pid" 2>/dev/null || curl -sf "$admin/health/ready"; }

stop_daemon() {
    local pid
    pid=$(cat "$work/daemon.pid")
    kill -TERM "$pid"
    # Not our child where `check` runs us in a subshell: poll.
    until_true 60 gone "$pid" || return 1
    tail -1 "$work/daemon.log" | grep -q stopped || { echo "it did not stop cleanly"; return 1; }
    ! grep -q " $root/srv/pinfold " /proc/self/mounts
}
gone() { ! kill -0 "$1" 2>/dev/null || [ "$(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null)" = Z ]; }

# ---- S3: curl signs, but leaves the body's digest to us
# curl_s3 BODY-FILE ARGUMENT…
curl_s3() {
    local digest
    digest=$(sha256sum < "$1" | cut -d' ' -f1)
    shift
    curl -sS --fail-with-body --max-time 60 --aws-sigv4 aws:amz:us-east-1:s3 --user "$access:$secret" \
        -H "x-amz-content-sha256: $digest" "$@"
}
put_object() {
    curl_s3 /dev/null -o /dev/null "$s3/pkg" 2>/dev/null || curl_s3 /dev/null -X PUT "$s3/pkg" || return 1
    printf %s "$2" > "$work/body"
    curl_s3 "$work/body" -T "$work/body" "$s3/pkg/$1"
}
get_object() { curl_s3 /dev/null "$s3/pkg/$1"; }

# ---- the unit in a booted container
boot_unit() {
    if ! need_debian_packages systemd-nspawn:systemd-container nsenter:util-linux; then
        skip "the unit in a booted container" "systemd-nspawn"
        return
    fi
    check "install an init for the container" in_root apt-get -qy --no-install-recommends install systemd-sysv dbus || return
    # nspawn brings its own /proc and /dev, and the archive is not needed any more.
    umount -l "$root/dev" "$root/proc" "$root/var/cache/apt/archives"
    rm -f "$root/usr/sbin/policy-rc.d"
    printf 'PINFOLD_ROOT_ACCESS_KEY=%s\nPINFOLD_ROOT_SECRET_KEY=%s\n' "$access" "$secret" > "$root/etc/default/pinfold"
    chmod 600 "$root/etc/default/pinfold"
    # A device of the container's own, with the mode that a Debian host gives it: the host's stays as it is.
    mknod -m 666 "$work/fuse" c 10 229
    systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$root" --machine="pinfold-test-$$" \
        --bind="$work/fuse:/dev/fuse" --console=pipe < /dev/null > "$work/nspawn.log" 2>&1 &
    nspawn_pid=$!
    if ! until_true 60 booted; then
        skip "the unit in a booted container" "a host where systemd-nspawn can boot ($(tail -1 "$work/nspawn.log"))"
        end_container
        furnish_root
        return
    fi
    check "the unit is active in a booted container" until_true 60 in_container systemctl is-active pinfold
    check "… and says ready" curl -sf "$admin/health/ready"
    check "… and runs as its user with one capability" unit_rights
    check "PUT to the unit" put_object unit.txt "hello from the unit"
    check "the mount is seen outside the unit" says "hello from the unit" in_container cat /srv/pinfold/pkg/unit.txt
    check "fstab's mount is a unit, and waited for the daemon" says "hello from the unit" in_container cat /srv/one/unit.txt
    check "systemctl reload" in_container systemctl reload pinfold
    check "kill -9, and the unit starts again by itself and mounts again" unit_restarts
    check "systemctl stop unmounts" unit_stops
    check "it says nothing about timeouts or signals" unit_result
    end_container
    furnish_root
}

leader() { pgrep -P "$nspawn_pid" -f systemd | head -1; }
in_container() { nsenter --target "$(leader)" --all -- "$@" < /dev/null; }
booted() { [ -n "$(leader)" ] && in_container systemctl is-active multi-user.target; }

unit_rights() {
    local pid
    pid=$(in_container systemctl show -P MainPID pinfold)
    in_container sh -c "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/$pid/status" | tee "$work/rights"
    grep -q 'CapEff:.*0000000000200000' "$work/rights" && grep -q 'CapBnd:.*0000000000200000' "$work/rights" \
        && grep -q 'NoNewPrivs:.*1' "$work/rights" && grep -q 'Seccomp:.*2' "$work/rights" \
        && ! grep -qE 'Uid:[[:space:]]+0' "$work/rights"
}

unit_restarts() {
    local before after
    before=$(in_container systemctl show -P MainPID pinfold)
    in_container systemctl kill --kill-who=main --signal=KILL pinfold || return 1
    until_true 60 new_pid "$before" || return 1
    until_true 60 curl -sf "$admin/health/ready" || return 1
    after=$(in_container cat /srv/pinfold/pkg/unit.txt)
    [ "$after" = "hello from the unit" ] || { echo "the mount shows: $after"; return 1; }
}
new_pid() {
    local now
    now=$(in_container systemctl show -P MainPID pinfold)
    [ "$now" != 0 ] && [ "$now" != "$1" ]
}

unit_stops() {
    in_container systemctl stop pinfold || return 1
    ! in_container grep -q " /srv/pinfold " /proc/self/mounts
}

unit_result() {
    local result
    result=$(in_container systemctl show -P Result pinfold)
    [ "$result" = success ] || { in_container journalctl -u pinfold --no-pager | tail -20; return 1; }
}

end_container() {
    [ -n "${nspawn_pid:-}" ] || return 0
    # SIGTERM asks its init to power off.
    kill -TERM "$nspawn_pid" 2>/dev/null
    until_true 30 gone "$nspawn_pid" || kill -KILL "$nspawn_pid" 2>/dev/null
    wait "$nspawn_pid" 2>/dev/null
    nspawn_pid=""
}

clean_up() {
    local pid point
    end_container
    pid=$(cat "$work/daemon.pid" 2>/dev/null) && kill -9 "$pid" 2>/dev/null
    # Deepest first; lazily, so that a dead mount goes, too.
    awk -v root="$root" '$2 == root || index($2, root "/") == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r point; do
        umount -l "$point"
    done
    if grep -q " $root" /proc/self/mounts; then
        say "something is still mounted below $root: not removed"
    else
        rm -rf --one-file-system "$work"
    fi
}
