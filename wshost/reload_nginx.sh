# Start nginx, or let it load its configuration anew, and see that it really did.
set -eu

if ! systemctl is-active --quiet nginx; then
    systemctl start nginx || { journalctl --unit nginx --lines 10 --output cat --no-pager; exit 1; }
    exit 0
fi

# nginx answers a reload with success even if it then can't use the new configuration (a port that
# is taken, say), and goes on with the old one. New workers are the proof that it could.
master=$(systemctl show --property MainPID --value nginx)
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
