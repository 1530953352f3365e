"""Where the processes of a generation listen: one notation, read here alone.

unix:FOLDER             a socket for each process, FOLDER/PROCESS.sock
tcp:ADDRESS:PORT        a port for each process, PORT that of the first one
shared:ADDRESS:PORT     one port for all
"""

from __future__ import annotations

from typing import NamedTuple


class Listen(NamedTuple):
    """Where the processes of a generation listen."""

    kind: str
    """`unix`, `tcp` or `shared`."""
    place: str
    """A folder, or an address."""
    port: int = 0

    @classmethod
    def read(cls, text: str) -> Listen:
        """Read the notation.

        >>> Listen.read("tcp:10.0.0.1:8000")
        Listen(kind='tcp', place='10.0.0.1', port=8000)
        """
        kind, _, where = text.partition(":")
        if kind == "unix":
            return cls(kind, where)
        address, _, port = where.rpartition(":")
        return cls(kind, address, int(port))

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}" + ("" if self.kind == "unix" else f":{self.port}")

    @property
    def unix(self) -> bool:
        """Whether processes listen on sockets in a folder."""
        return self.kind == "unix"

    def socket(self, process: str) -> str:
        """Return the path of a process's socket."""
        return f"{self.place}/{process}.sock"

    def address(self, process: str) -> tuple[str, int]:
        """Return the address and port of a process, whose name ends with its number."""
        return self.place, self.port + (int(process[-2:]) if self.kind == "tcp" else 0)

    def ports(self, processes: int) -> set[tuple[str, int]]:
        """Return the addresses and ports that so many processes take; none for unix sockets."""
        if self.unix:
            return set()
        numbers = range(processes if self.kind == "tcp" else 1)
        return {(self.place, self.port + number) for number in numbers}
