# Start nginx, or let it load its configuration anew, and see that it really did.
# $1: the unit of another proxy that has the ports until now, if it runs.
# RECOVERING: set when the previous files are back after a failure.
set -eu

if ! systemctl is-active --quiet nginx; then
    # Its previous files may be Debian's welcome page: what did not run before stays down.
    [ -z "${RECOVERING:-}" ] || exit 0
    was_running=$(systemctl is-active "$1" || true)
    [ "$was_running" != active ] || systemctl stop "$1"
    if ! systemctl start nginx; then
        journalctl --unit nginx --lines 10 --output cat --no-pager
        [ "$was_running" != active ] || systemctl start "$1"
        exit 1
    fi
    exit 0
fi

# nginx answers a reload with success even if it then can't use the new configuration (a port that
# is taken, say), and goes on with the old one. New workers are the proof that it could.
# Not what systemd has as MainPID: after an upgrade of the program, that is the old master for as long
# as its clients stay.
master=$(cat /run/nginx.pid)
before=$(pgrep --parent "$master" | sort)
lines=$(wc -l </var/log/nginx/error.log 2>/dev/null || echo 0)
systemctl reload nginx
for _ in $(seq 100); do
    after=$(pgrep --parent "$master" | sort)
    if printf '%s\n' "$after" | grep -qvxF "$before"; then
        exit 0
    fi
    sleep 0.1
done
echo "nginx could not use the new configuration and goes on with the old one:"
tail -n "+$((lines + 1))" /var/log/nginx/error.log | grep -F '[emerg]' | sort -u -k4 | head -n 10
exit 1
