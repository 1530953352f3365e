# Start the TLS listener of an app host, or let it load its configuration anew, and see that it
# really did.
# $1: its unit. $2: its program.
# RECOVERING: set when the previous files are back after a failure.
set -eu

# What it says itself, which systemd's answer is not.
reasons() {
    journalctl --unit "$1" --since "@$now" --output cat --no-pager |
        grep -E 'ALERT|emerg|[Ff]ailed' | awk '!seen[$0]++' | head -n 10
}
now=$(date +%s)

if ! systemctl is-active --quiet "$1"; then
    [ -z "${RECOVERING:-}" ] || [ -e "/etc/systemd/system/$1" ] || exit 0
    systemctl start "$1" 2>/dev/null && exit 0
    reasons "$1"
    # It would go on trying.
    systemctl stop "$1"
    exit 1
fi

master=$(systemctl show --property MainPID --value "$1")
if [ "$(cat "/proc/$master/comm")" != "$2" ]; then
    # It is the other program until now: connections end.
    systemctl restart "$1" && exit 0
    reasons "$1"
    exit 1
fi

# A reload is a success for systemd even if the program then goes on with the old configuration (for
# a port that is taken, say). New workers are the proof that it could.
before=$(pgrep --parent "$master" | sort)
if systemctl reload "$1" 2>/dev/null; then
    for _ in $(seq 100); do
        after=$(pgrep --parent "$master" | sort)
        if printf '%s\n' "$after" | grep -qvxF "$before"; then
            exit 0
        fi
        sleep 0.1
    done
fi
echo "$1 could not use the new configuration and goes on with the old one:"
reasons "$1"
exit 1
