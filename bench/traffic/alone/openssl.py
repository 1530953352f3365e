"""Print how many bytes of OpenSSL a server's end of an idle TLS connection keeps.

What malloc has given out is counted, which Python's own small objects don't come from.
"""

import ctypes
import gc
import socket
import ssl

WARM_UP, COUNT = 50, 500
CERTIFICATE, KEY = "/etc/ws/tls/cert.pem", "/etc/ws/tls/key.pem"


class Mallinfo2(ctypes.Structure):
    """See mallinfo(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def given_out() -> int:
    """Return the bytes that malloc has given out, and not got back."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo2
    info = libc.mallinfo2()
    return int(info.uordblks + info.hblkhd)


def connection(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a server's end, after a handshake and a message in each direction."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    ours = server.wrap_socket(pair[0], server_side=True, do_handshake_on_connect=False)
    with client.wrap_socket(pair[1], do_handshake_on_connect=False) as theirs:
        waiting = [theirs, ours]
        while waiting:
            for end in tuple(waiting):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                waiting.remove(end)
        theirs.send(b"x" * 64)
        ours.send(ours.recv(64))
        theirs.recv(64)
    return ours


def main() -> None:
    """Measure."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE, KEY)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    kept = [connection(server, client) for _ in range(WARM_UP)]
    gc.collect()
    before = given_out()
    kept += [connection(server, client) for _ in range(COUNT)]
    gc.collect()
    print((given_out() - before) / COUNT)


main()
