"""Talk to Supervisor on its unix socket, as supervisorctl does (XML-RPC over HTTP)."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from typing import Any

SOCKET = "/run/supervisor.sock"


class SupervisorError(Exception):
    """Supervisor can't be reached, or refuses a call."""


class _UnixConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def call(method: str, *parameters: Any, path: str = SOCKET, timeout: float = 60) -> Any:
    """Call `supervisor.METHOD` and return its result.

    timeout: seconds to wait for the answer; stopping a group answers when it has stopped.
    Raises SupervisorError, whose message holds Supervisor's own name of the fault.
    """
    body = xmlrpc.client.dumps(parameters, f"supervisor.{method}").encode()
    connection = _UnixConnection(path, timeout=timeout)
    try:
        connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml", "Host": "localhost"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != http.HTTPStatus.OK:
            raise SupervisorError(f"Supervisor answers {response.status} {response.reason}")
        return xmlrpc.client.loads(answer)[0][0]
    except xmlrpc.client.Fault as fault:
        raise SupervisorError(f"{method}: {fault.faultString}") from None
    except (OSError, http.client.HTTPException) as error:
        raise SupervisorError(f"Supervisor does not answer on {path}: {error}") from None
    finally:
        connection.close()


def processes(path: str = SOCKET) -> list[dict[str, Any]]:
    """Return what Supervisor knows of each process: group, name, statename, pid, and so on."""
    found: list[dict[str, Any]] = call("getAllProcessInfo", path=path)
    return found
