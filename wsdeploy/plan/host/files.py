"""Sets of files that are applied whole, and how far a host is from having them. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from wsdeploy.plan.host.survey import PathState, Request, Survey
from wshost import requests

# Where wshost.config.apply_files keeps what it applied last.
MARKERS = "/var/lib/wsdeploy/sets"

Command = tuple[str, ...]


def enabled(unit: str) -> Command:
    """Return the command that lets a unit of Debian's start at boot.

    Their packages have done that already, unless somebody has undone it. To say it again takes
    half a second each time, as Debian then looks for a script of the same name for other systems
    of starting services (measured on Debian 12 and 13: 0.4 to 0.5 s, against 0.01 s to ask).
    """
    text = 'systemctl is-enabled --quiet "$1" || systemctl enable --quiet "$1"'
    return ("sh", "-c", text, "systemctl enable", unit)


def restarted(unit: str) -> tuple[Command, ...]:
    """Return the commands that let a unit of our own run as its file says, now and after a boot."""
    return (
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable", "--quiet", unit),
        ("systemctl", "restart", unit),
    )


def active(unit: str) -> tuple[Command, ...]:
    """Return the command that sees whether a unit runs."""
    return (("systemctl", "is-active", unit),)


@dataclass(frozen=True)
class File:
    """A file on a host."""

    path: str
    content: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False
    """True keeps the content out of diffs."""

    def to_json(self) -> requests.File:
        """Return the file as it travels."""
        return {
            "path": self.path,
            "mode": self.mode,
            "owner": self.owner,
            "group": self.group,
            "content": base64.b64encode(self.content.encode()).decode(),
        }

    def same_as(self, path: PathState | None) -> bool:
        """Tell whether a path on a host is this file: content, mode and owners."""
        return path == PathState(
            kind="file",
            mode=self.mode,
            owner=self.owner,
            group=self.group,
            sha256=hashlib.sha256(self.content.encode()).hexdigest(),
        )


@dataclass(frozen=True)
class FileSet:
    """The files of one component, and the commands that check and activate them."""

    name: str
    files: tuple[File, ...]
    validate: tuple[Command, ...] = ()
    """Checks of the staged set, before anything changes; {stage} is the staged tree's root."""
    prepare: tuple[Command, ...] = ()
    """What has to happen right before files change, such as to stop a unit that goes."""
    activate: tuple[Command, ...] = ()
    """What makes the files take effect, in order."""
    verify: tuple[Command, ...] = ()
    """Checks that the component works with them; if one fails, the previous files come back."""
    absent: tuple[str, ...] = ()
    """Paths that must not exist."""
    notes: tuple[str, ...] = ()
    """What the host does not allow, in words: shown at every run, no part of the set."""

    @property
    def marker(self) -> File:
        """The file that wshost.config.apply_files leaves when this set was applied to its end."""
        content = {"digest": self.digest, "paths": [file.path for file in self.files]}
        return File(f"{MARKERS}/{self.name}.json", json.dumps(content))

    @property
    def digest(self) -> str:
        """A digest of all that this set is: files, modes, owners and commands."""
        set_without_digest = {k: v for k, v in self._request("").items() if k != "digest"}
        text = json.dumps(set_without_digest, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def request(self) -> Request:
        """Return what to ask a host about, to know whether it has this set."""
        return Request(paths=(*(file.path for file in self.files), *self.absent, self.marker.path))

    def differences(self, survey: Survey) -> Iterator[str]:
        """Yield what differs on a host, a few words each."""
        for file in self.files:
            if not file.same_as(survey.paths.get(file.path)):
                yield file.path
        for path in self.absent:
            if path in survey.paths:
                yield f"{path} (to be removed)"
        if not self.marker.same_as(survey.paths.get(self.marker.path)):
            yield f"{self.name} was not applied to its end, or with other commands"

    def to_json(self) -> requests.ApplyFiles:
        """Return the request with which the set is put in place."""
        return self._request(self.digest)

    def _request(self, digest: str) -> requests.ApplyFiles:
        return {
            "name": self.name,
            "digest": digest,
            "files": [file.to_json() for file in self.files],
            "absent": list(self.absent),
            "validate": [list(command) for command in self.validate],
            "prepare": [list(command) for command in self.prepare],
            "activate": [list(command) for command in self.activate],
            "verify": [list(command) for command in self.verify],
        }
