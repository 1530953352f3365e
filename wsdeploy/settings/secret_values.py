"""Secret values: how they are read and compared.

They are read once per run, stay in memory, and are in no message, representation or command line.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from wsdeploy.settings.app import App
from wsdeploy.settings.secrets import FromCommand, FromEnv, FromFile
from wsdeploy.settings.section import Problem, refused

PATIENCE = 120
"""Seconds that a command may take, with whoever has to unlock a password manager for it."""

MESSAGE = "the probe's message"
"""What stands for it where variables stand by their names: no variable is called so."""

_ONE_AT_A_TIME = threading.Lock()


class SecretError(Exception):
    """A secret can't be read; the message says why and what would do, without any of its value."""


def read(source: FromEnv | FromFile | FromCommand) -> str:
    """Return the value of a secret. Raises SecretError."""
    if isinstance(source, FromEnv):
        value, place = _of_variable(source.name), f"${source.name}"
    elif isinstance(source, FromFile):
        value, place = _of_file(source.path), source.path
    else:
        value, place = _of_command(source.command), f"the output of {source.command[0]}"
    if not value:
        raise SecretError(f"{place} is empty; put the secret there")
    if "\0" in value:
        raise SecretError(f"{place} has a NUL character, which no variable can hold; drop it")
    return value


def values(app: App) -> dict[str, str]:
    """Return the secrets of the app by the names of their variables; read them if need be.

    Raises SecretError for the first that can't be read.
    """
    reading = _reading(app)
    for name, complaint in reading.complaints.items():
        if name != MESSAGE:
            raise SecretError(f"app.secrets.{name}: {complaint}")
    return dict(reading.values)


def message(app: App) -> str | None:
    """Return the message of the app's probe, read from where it is kept. Raises SecretError."""
    send = app.probe.send
    if send is None or isinstance(send, str):
        return send
    reading = _reading(app)
    for name, complaint in reading.complaints.items():
        if name == MESSAGE:
            raise SecretError(f"app.probe.send: {complaint}")
    return reading.values_of_probe[MESSAGE]


def problems(app: App) -> Iterator[Problem]:
    """Yield what keeps the app's secrets from being read, and where they would be shown."""
    for setting in ("command", "before_release", "after_release"):
        for word in getattr(app, setting) or ():
            for name in re.findall(r"\$\{?(\w+)", word):
                if name in app.secrets:
                    wanted = f"everyone on a host sees commands; let it read {name} by itself"
                    yield refused(f"app.{setting}", word, wanted)
    for name, complaint in _reading(app).complaints.items():
        yield Problem("app.probe.send" if name == MESSAGE else f"app.secrets.{name}", complaint)


@functools.lru_cache(maxsize=1024)
def fingerprint(secret: str, salt: str) -> str:
    """Return what may be told of a secret: the same for the same secret, and slow to guess from.

    It goes into the ID of a generation, which everyone on a host can see. A try takes tens
    of milliseconds and 16 MiB, where a plain digest takes a billionth of that.
    """
    digest = hashlib.scrypt(secret.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=32)
    return digest.hex()


class _Reading:
    """What came of reading the secrets. A class of its own, so that its repr shows no values."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.values_of_probe: dict[str, str] = {}
        self.complaints: dict[str, str] = {}


def _reading(app: App) -> _Reading:
    # Commands are slow and may ask for something; hosts are deployed in parallel.
    with _ONE_AT_A_TIME:
        known: _Reading | None = app.__dict__.get("_secrets")
        if known is None:
            known = _Reading()
            sources = [(name, source, known.values) for name, source in app.secrets.items()]
            if isinstance(app.probe.send, FromEnv | FromFile | FromCommand):
                sources.append((MESSAGE, app.probe.send, known.values_of_probe))
            for name, source, place in sources:
                if any(source.all_problems()):
                    continue
                try:
                    place[name] = read(source)
                except SecretError as error:
                    known.complaints[name] = str(error)
            object.__setattr__(app, "_secrets", known)
    return known


def _of_variable(name: str) -> str:
    if name not in os.environ:
        raise SecretError(f"${name} is not set on this machine; export it before you deploy")
    return _text(os.environb[name.encode()], f"${name}")


def _of_file(path: str) -> str:
    try:
        data = Path(path).expanduser().read_bytes()
    except FileNotFoundError:
        raise SecretError(f"no file {path} in {Path.cwd()}; give one that exists") from None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such user"
        raise SecretError(f"{path} can't be read: {reason}") from None
    return _text(data, path).rstrip()


def _of_command(command: Sequence[str]) -> str:
    complaint = ""
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        complaint = f"took longer than {PATIENCE} seconds"
    except OSError as error:
        complaint = f"can't be run: {error.strerror}"
    # Not in an except block: the exception there has the output so far.
    if complaint:
        raise SecretError(f"{command[0]} {complaint}")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = f": {said[0]}" if said else " and says nothing about it"
        raise SecretError(f"{command[0]} fails with code {done.returncode}{reason}")
    return _text(done.stdout, f"the output of {command[0]}").rstrip()


def _text(data: bytes, place: str) -> str:
    text = data.decode(errors="replace")
    if text.encode() != data:
        raise SecretError(f"{place} is not text in UTF-8; encode it, for example with base64")
    return text
