"""Order among hosts."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.operation import operation


@operation()
def barrier() -> Generator[str, None, None]:
    """Let no host go on before all hosts have come this far. Costs nothing and changes nothing.

    pyinfra runs the operations of hosts with different roles in an order of its own; an operation
    that is there on every host is what it can't move others across.
    """
    yield from ()
