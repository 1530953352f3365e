"""Ask a cloud whether it takes this machine away: its metadata, by plain HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

TIMEOUT = 2
"""Seconds for an answer. The metadata are next door."""
TOKEN_SECONDS = 3600


class MetadataError(Exception):
    """The metadata can't be read; the message says why."""


class Cloud(Protocol):
    """What can be asked."""

    def reason(self) -> str | None:
        """Return why this machine goes, or None if it stays. Raises MetadataError."""


def fetch(base: str, path: str, headers: Mapping[str, str], method: str = "GET") -> tuple[int, str]:
    """Return status and text of an answer. Raises MetadataError if there is none."""
    place = urlsplit(base)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(10_000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise MetadataError(f"{base}: {error or type(error).__name__}") from error
    finally:
        connection.close()


class Aws:
    """Amazon's: what an Auto Scaling group wants of the machine, and the end of a spot machine."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._token = ""

    def reason(self) -> str | None:
        """Return why this machine goes, or None if it stays. Raises MetadataError."""
        state = self._get("/latest/meta-data/autoscaling/target-lifecycle-state")
        if state in ("Terminated", "Warmed:Terminated"):
            return f"its group wants it to be {state}"
        notice = self._get("/latest/meta-data/spot/instance-action")
        if notice is None:
            return None
        try:
            found = json.loads(notice)
            return f"spot: {found['action']} at {found['time']}"
        except (ValueError, TypeError, KeyError):
            return f"spot: {notice[:100]}"

    def _get(self, path: str) -> str | None:
        """Return what there is at a path; None if nothing. IMDSv2: each question has a token."""
        status, text = self._ask(path) if self._token else (401, "")
        if status == 401:
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
            status, self._token = fetch(self._base, "/latest/api/token", headers, "PUT")
            if status != 200:
                self._token = ""
                raise MetadataError(f"{self._base} gives no token: status {status}")
            status, text = self._ask(path)
        if status == 404:
            return None
        if status != 200:
            raise MetadataError(f"{self._base}{path}: status {status}")
        return text

    def _ask(self, path: str) -> tuple[int, str]:
        return fetch(self._base, path, {"X-aws-ec2-metadata-token": self._token})


class Gcp:
    """Google's: whether a spot machine is taken away."""

    def __init__(self, base: str) -> None:
        self._base = base

    def reason(self) -> str | None:
        """Return why this machine goes, or None if it stays. Raises MetadataError."""
        path = "/computeMetadata/v1/instance/preempted"
        status, text = fetch(self._base, path, {"Metadata-Flavor": "Google"})
        if status != 200:
            raise MetadataError(f"{self._base}{path}: status {status}")
        return "it is preempted" if text == "TRUE" else None


def cloud(name: str, base: str) -> Cloud:
    """Return the cloud of a name, `aws` or `gcp`. base: the URL of its metadata, without a path."""
    clouds: dict[str, type[Aws] | type[Gcp]] = {"aws": Aws, "gcp": Gcp}
    return clouds[name](base)
