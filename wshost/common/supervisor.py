"""Talk to Supervisor on its unix socket, as supervisorctl does (XML-RPC over HTTP).

By hand, as Python's own client loads a mail parser and TLS on its way: half of the time that a
program of ours takes, and each run starts several on each host.
"""

from __future__ import annotations

import socket
from typing import IO, TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from wshost.requests import Supervised


SOCKET = "/run/supervisor.sock"


class SupervisorError(Exception):
    """Supervisor can't be reached, or refuses a call."""


def call(method: str, *parameters: Any, path: str = SOCKET, timeout: float = 60) -> Any:
    """Call `supervisor.METHOD` and return its result.

    parameters: texts, whole numbers and truth values.
    timeout: seconds to wait for the answer; stopping a group answers when it has stopped.
    Raises SupervisorError, whose message holds Supervisor's own name of the fault.
    """
    body = _request(f"supervisor.{method}", parameters).encode()
    head = f"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(head.encode() + body)
            with connection.makefile("rb") as answer:
                text = _body(answer)
        return _result(method, ElementTree.fromstring(text))  # noqa: S314 (Supervisor is root)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise SupervisorError(f"Supervisor does not answer on {path}: {error}") from None


def processes(path: str = SOCKET, *, timeout: float = 60) -> list[Supervised]:
    """Return what Supervisor knows of each process: group, name, statename, pid, and so on."""
    found: list[Supervised] = call("getAllProcessInfo", path=path, timeout=timeout)
    return found


def _request(method: str, parameters: tuple[Any, ...]) -> str:
    values = "".join(f"<param><value>{_spelt(each)}</value></param>" for each in parameters)
    return (
        f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName>"
        f"<params>{values}</params></methodCall>"
    )


def _spelt(value: Any) -> str:
    if isinstance(value, bool):
        return f"<boolean>{value:d}</boolean>"
    if isinstance(value, int):
        return f"<int>{value}</int>"
    text = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<string>{text}</string>"


def _body(answer: IO[bytes]) -> bytes:
    """Return what follows the head of an answer. Raises SupervisorError, ValueError."""
    words = answer.readline().decode("latin-1").split(None, 2)
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        raise ValueError("that was no HTTP")
    if words[1] != "200":
        raise SupervisorError(f"Supervisor answers {' '.join(words[1:]).strip()}")
    length = -1
    while line := answer.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return answer.read(length)


def _result(method: str, answer: ElementTree.Element) -> Any:
    fault = answer.find("fault/value")
    if fault is not None:
        raise SupervisorError(f"{method}: {_value(fault)['faultString']}")
    value = answer.find("params/param/value")
    if value is None:
        raise ValueError("there is no value in it")
    return _value(value)


def _value(element: ElementTree.Element) -> Any:
    """Read an XML-RPC value; one without a type is a text."""
    if not len(element):
        return element.text or ""
    (typed,) = element
    match typed.tag:
        case "int" | "i4":
            return int(typed.text or "0")
        case "boolean":
            return typed.text == "1"
        case "array":
            return [_value(each) for each in typed.iterfind("data/value")]
        case "struct":
            members = {each.findtext("name"): each.find("value") for each in typed}
            return {name: _value(each) for name, each in members.items() if each is not None}
    return typed.text or ""
