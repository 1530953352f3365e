"""Render templates. Pure but for reading them, and keeping them compiled."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemBytecodeCache,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateSyntaxError,
)
from jinja2.bccache import Bucket

from wsdeploy import templates

# How templates are read.
OPTIONS: dict[str, Any] = {
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
    "keep_trailing_newline": True,
    "autoescape": False,  # configuration files, not HTML
}


class RenderError(Exception):
    """A template can't be rendered; the message says which one, and why."""


def environment(folder: Path = templates.OURS, own: Sequence[Path] = ()) -> Environment:
    """Return the Jinja environment that every template is rendered with.

    own: folders with templates that come before those in `folder`, and may extend them.
    """
    ours = FileSystemLoader(folder)
    first = [FileSystemLoader(each) for each in own]
    return Environment(  # noqa: S701
        loader=ChoiceLoader([*first, ours, PrefixLoader({templates.PREFIX: ours})]),
        bytecode_cache=_bytecode(),
        **OPTIONS,
    )


class _Bytecode(FileSystemBytecodeCache):
    """Compiled templates in a folder, as long as there is room."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template, if that is possible."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _bytecode() -> FileSystemBytecodeCache | None:
    """Return where compiled templates are kept, below the user's cache; None if they can't be.

    Compiling them takes longer than all else that this machine does for a host that is as planned.
    """
    # Jinja itself compares templates and the version of Python, but not these.
    kind = hashlib.sha256(f"{OPTIONS} {metadata.version('jinja2')}".encode()).hexdigest()[:12]
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # Its specification has relative ones ignored.
        cache = cache if cache.is_absolute() else Path.home() / ".cache"
        folder = cache / "wsdeploy" / "templates" / kind
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError):
        # RuntimeError: this user has no home.
        return None
    # Whoever may write there can let code run here.
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        return None
    return _Bytecode(str(folder))


@cache
def _environment(own: tuple[Path, ...]) -> Environment:
    return environment(own=own)


def render(template: str, view: Mapping[str, object] | None = None) -> str:
    """Return a template with its variables filled in.

    template: its name below templates/, without `.j2`. Whoever deploys may have one of that name
    (wsdeploy.templates).
    view: its variables. Each template has a type that lists them, and is named for it: NginxConf.
    Raises RenderError for one that can't be read, or does not fit `view`.
    """
    name, own = f"{template}.j2", templates.own(sys.argv[1:])
    try:
        return _environment(own).get_template(name).render(view or {})
    except RecursionError as error:
        wanted = f'it extends itself; say {{% extends "{templates.PREFIX}/{name}" %}}'
        raise RenderError(f"templates/{name}: {wanted}") from error
    except TemplateSyntaxError as error:
        where = f"templates/{error.name or name}, line {error.lineno}"
        raise RenderError(f"{where}: {error.message}") from error
    except Exception as error:  # what a template does can go wrong in any way
        raise RenderError(f"templates/{name}: {error}") from error
