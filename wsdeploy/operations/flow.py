"""Order among hosts."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.operation import operation
from pyinfra.context import host, state


@operation()
def barrier() -> Generator[str, None, None]:
    """Let no host go on before all hosts have come this far. Costs nothing and changes nothing.

    pyinfra runs the operations of hosts with different roles in an order of its own; an operation
    that is there on every host is what it can't move others across.
    """
    yield from ()


def failed_elsewhere() -> str | None:
    """Return a host on which the current operation has failed already, or None.

    pyinfra goes on with the other hosts of an operation even when it runs them one by one, and
    would carry a bad release to all of them.
    """
    for other, operations in state.ops.items():
        data = operations.get(host.current_op_hash or "")
        meta = data.operation_meta if data else None
        if state.is_executing and meta and meta.is_complete() and meta.did_error():
            return other.name
    return None
