"""Print how many bytes of OpenSSL a server's end of an idle TLS connection keeps.

What malloc has given out is counted, which Python's own small objects don't come from.
"""

import ctypes
import gc
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


def connection(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Return a server's end, after a handshake and a message in each direction."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    open_ends = [theirs, ours]
    while open_ends:
        for end in tuple(open_ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_ends.remove(end)
    theirs.write(b"x" * 64)
    ours.write(ours.read(64))
    theirs.read(64)
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
