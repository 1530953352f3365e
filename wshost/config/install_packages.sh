# Install the packages named as arguments, with their services kept down. Needs nothing but Debian.
set -eu
umask 022
export DEBIAN_FRONTEND=noninteractive

# A fresh machine may still be setting itself up, with apt. Its own failures are not ours.
if command -v cloud-init >/dev/null; then
    cloud-init status --wait >/dev/null 2>&1 || true
fi

# A service that starts before it is configured can take a port, or serve its welcome page. invoke-rc.d
# asks this file; 101 means no. One that was there before belongs to somebody else, and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ] || grep -q wsdeploy "$policy"; then
    # wsdeploy's own for good (templates/upgrades) comes back.
    if [ -e "$policy" ] && ! grep -q 'is installing packages' "$policy"; then
        mv -f "$policy" "$policy.wsdeploy"
    fi
    trap 'if [ -e "$policy.wsdeploy" ]; then mv -f "$policy.wsdeploy" "$policy"; else rm -f "$policy"; fi' EXIT
    printf '#!/bin/sh\n# wsdeploy is installing packages\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

[ $# -gt 0 ] || exit 0

# Another apt may be at work: wait for its lock instead of failing.
locks="-o DPkg::Lock::Timeout=600"
# What a killed run left half-done. Unlike apt, dpkg does not wait for its lock.
waited=0
until output=$(dpkg --configure -a --force-confold 2>&1); do
    if ! printf '%s' "$output" | grep -Eq 'dpkg/lock|frontend lock|database lock'; then
        printf '%s\n' "$output" | tail -n 20 >&2
        exit 1
    fi
    holder=$(printf '%s' "$output" | grep -o 'pid [0-9]*' | head -n 1)
    name=$(cat "/proc/${holder#pid }/comm" 2>/dev/null || echo "another program")
    if [ "$waited" -ge 600 ]; then
        echo "$name (${holder:-unknown}) has had dpkg's lock for 10 minutes; deploy when it is done" >&2
        exit 1
    fi
    [ "$waited" -gt 0 ] || echo "waiting for $name (${holder:-unknown}), which has dpkg's lock" >&2
    waited=$((waited + 2))
    sleep 2
done

# The lists have a lock of their own, which apt does not wait for. Translated descriptions are a
# third of the lists, and nothing reads them; those that are there stay.
tries=0
until output=$(apt-get $locks -o Acquire::Languages=none -o APT::Get::List-Cleanup=false \
    -q update 2>&1); do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ] || ! printf '%s' "$output" | grep -q 'Could not get lock'; then
        printf '%s\n' "$output" | grep '^[EW]:' >&2
        exit 1
    fi
    sleep 5
done

# confold: a configuration file that was changed here stays.
if ! output=$(apt-get $locks -q -y --no-install-recommends \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install "$@" 2>&1); then
    printf '%s\n' "$output" | tail -n 20 >&2
    exit 1
fi
