"""Look for a text in all that passes a host's network. Runs on hosts, as root.

Arguments: the text, and a TCP port. Prints "ready"; ends on a line on standard input, and prints as
JSON in how many packets the text was (`found`), and how many went to or from the port (`packets`).
"""

import json
import select
import socket
import struct
import sys

ETH_P_ALL = 3


def main() -> None:
    text, port = sys.argv[1].encode(), int(sys.argv[2])
    found = packets = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as wire:
        print("ready", flush=True)
        # When it is told to end, what is there already is looked at first.
        while wire in select.select([wire, sys.stdin], [], [])[0]:
            packet, (interface, *_) = wire.recvfrom(65536)
            if interface == "lo":
                continue
            found += text in packet
            # Internet Protocol version 4, without options, and TCP.
            if packet[:1] == b"E" and packet[9:10] == b"\x06":
                packets += port in struct.unpack("!HH", packet[20:24])
    print(json.dumps({"found": found, "packets": packets}))


if __name__ == "__main__":
    main()
