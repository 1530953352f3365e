# Start HAProxy, or let it load its configuration anew, and see that it really did.
# $1: the unit of another proxy that has the ports until now, if it runs.
# RECOVERING: set when the previous files are back after a failure.
set -eu
now=$(date +%s)

# What HAProxy itself says, which systemd's answer is not.
reasons() {
    journalctl --unit haproxy --since "@$now" --output cat --no-pager | grep -F '[ALERT]' |
        sed 's/^\[ALERT\] *([0-9]*) *: *//' | awk '!seen[$0]++' | head -n 10
}

# The process that serves new clients; it is the one that answers on the admin socket.
worker() {
    printf 'show info\n' | socat -t 5 - UNIX-CONNECT:/run/haproxy/admin.sock 2>/dev/null |
        sed -n 's/^Pid: //p'
}

if ! systemctl is-active --quiet haproxy; then
    # Its previous files may be Debian's, which serve nothing: what did not run before stays down.
    [ -z "${RECOVERING:-}" ] || exit 0
    was_running=$(systemctl is-active "$1" || true)
    [ "$was_running" != active ] || systemctl stop "$1"
    if ! systemctl start haproxy 2>/dev/null; then
        reasons
        # It would go on trying.
        systemctl stop haproxy
        [ "$was_running" != active ] || systemctl start "$1"
        exit 1
    fi
    exit 0
fi

# A reload is a success for systemd even if HAProxy then can't use the new configuration (a port
# that is taken, say), and goes on with the old one. A new process that serves is the proof.
before=$(worker)
if systemctl reload haproxy 2>/dev/null; then
    for _ in $(seq 100); do
        after=$(worker)
        [ -z "$after" ] || [ "$after" = "$before" ] || exit 0
        sleep 0.1
    done
fi
echo "HAProxy could not use the new configuration:"
reasons
exit 1
