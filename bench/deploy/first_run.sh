# The first run's work as one script: runs on the host, in the folder that holds the job's files.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get -q update
apt-get -q -y --no-install-recommends install python3 supervisor openssl nginx logrotate nftables

useradd --system --create-home --home-dir /var/lib/ws --shell /usr/sbin/nologin ws
install -m 644 tmpfiles.conf /etc/tmpfiles.d/ws.conf
install -m 644 sysctl.conf /etc/sysctl.d/60-ws.conf
systemd-tmpfiles --create /etc/tmpfiles.d/ws.conf
sysctl -q -p /etc/sysctl.d/60-ws.conf

install -m 755 firewall.nft /etc/nftables.conf
systemctl enable --quiet --now nftables
nft -f /etc/nftables.conf

mkdir -p /srv/ws/releases/1 /etc/ws/tls
tar -xzf release.tar.gz -C /srv/ws/releases/1 --no-same-owner
python3 -m compileall -q /srv/ws/releases/1
ln -sfn releases/1 /srv/ws/current

install -D -m 644 supervisor-limits.conf /etc/systemd/system/supervisor.service.d/ws.conf
install -m 644 supervisor.conf /etc/supervisor/conf.d/ws.conf
systemctl daemon-reload
systemctl enable --quiet supervisor
systemctl restart supervisor

(
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
        -subj /CN=bench.sandbox.test -addext subjectAltName=DNS:bench.sandbox.test \
        -keyout /etc/ws/tls/key.pem -out /etc/ws/tls/cert.pem 2>/dev/null
)
install -m 644 nginx.conf /etc/nginx/nginx.conf
nginx -q -t
systemctl enable --quiet nginx
systemctl restart nginx

# All processes are up, and a client gets through.
tries=0
until [ "$(supervisorctl status | grep -c RUNNING)" = 4 ] && python3 check.py; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ]
    sleep 0.1
done
