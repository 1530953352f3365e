# Let a running HAProxy use the certificate and key that are on disk now. Nobody is disconnected, and
# there is no reload. A HAProxy that does not run will find them when it starts.
set -eu
systemctl is-active --quiet haproxy || exit 0

ask() {
    socat -t 30 - UNIX-CONNECT:/run/haproxy/admin.sock
}

for certificate in $(printf 'show ssl cert\n' | ask | grep '^/'); do
    # The one that is shown to app hosts has its key in the same file, and is exchanged by a reload.
    [ -e "$certificate.key" ] || continue
    # A blank line would end it, so those between the certificates of a chain have to go.
    answer=$(
        {
            printf 'set ssl cert %s <<\n' "$certificate"
            grep -hv '^[[:space:]]*$' "$certificate" "$certificate.key"
            printf '\n'
        } | ask
        printf 'commit ssl cert %s\n' "$certificate" | ask
    )
    case $answer in
        *Success!*) ;;
        *)
            printf 'abort ssl cert %s\n' "$certificate" | ask >/dev/null
            printf 'HAProxy goes on with the old certificate:\n%s\n' "$answer"
            exit 1
            ;;
    esac
done
