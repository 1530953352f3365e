"""What a bundle takes of a project, and what in it has to stay here: secrets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from wsdeploy import templates
from wsdeploy.bundle import libraries
from wsdeploy.bundle.errors import BundleError
from wsdeploy.release import folder
from wsdeploy.settings import Acme, CertFiles, FromEnv, FromFile, Settings
from wsdeploy.settings.section import Problem, refused

MACHINE = "@local"
"""pyinfra's name for the machine that it runs on."""

SECRET_NAME = re.compile(
    r"(?i)(.*_)?(password|passwd|passphrase|secret|token|(api|access|private|secret)_?key"
    r"|credentials?)"
)
"""Names of variables whose values nobody else should know."""
LOGIN = re.compile(r"(?<=://)[^/@\s\"':]*:[^/@\s\"']+@")
"""A user and a password in a URL."""
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")

OF_PYINFRA = ("deploy.py", "config.py")


def problems(settings: Settings, hosts: Iterable[str]) -> Iterator[Problem]:
    """Yield why machines could not set themselves up with these settings.

    hosts: those of the inventory.
    """
    for host in hosts:
        if host != MACHINE:
            wanted = f'a machine that sets itself up has no name yet; say app=["{MACHINE}"]'
            yield refused("app", host, wanted)
    app, tls = settings.app, settings.tls
    if isinstance(tls, Acme):
        yield Problem(
            "tls",
            "Acme(...) given; authorities issue few certificates for the same names, too few for "
            "machines that come and go; give CertFiles(...) with paths on the machine, or "
            "SelfSigned() behind a balancer that ends TLS",
        )
    for kind in ("before_release", "after_release"):
        if getattr(app, kind):
            wanted = "each machine that comes would run it; leave it out, and run it elsewhere"
            yield refused(f"app.{kind}", getattr(app, kind), wanted)
    sources = {f"app.secrets.{name}": each for name, each in app.secrets.items()}
    sources["app.probe.send"] = app.probe.send  # type: ignore[assignment]
    for setting, source in sources.items():
        if isinstance(source, FromEnv):
            wanted = "a machine has no such variable; give FromFile(...) or FromCommand([...])"
            yield refused(setting, source.name, wanted)
        elif isinstance(source, FromFile):
            yield from _elsewhere(setting, source.path)
    if isinstance(tls, CertFiles):
        yield from _elsewhere("tls.certificate", tls.certificate)
        yield from _elsewhere("tls.key", tls.key)
    for name, value in app.env.items():
        if SECRET_NAME.fullmatch(name) or LOGIN.search(value):
            # Without its value.
            yield Problem(f"app.env.{name}", "it looks like a secret; move it to app.secrets")


def _elsewhere(setting: str, path: str) -> Iterator[Problem]:
    if not path.startswith("/"):
        wanted = "it would have to be in the bundle; give a path on the machine, from / on"
        yield refused(setting, path, wanted)


def files(inventory: Path, also: Iterable[Path] = ()) -> dict[str, bytes]:
    """Return the files of the project in the current folder that a run on a machine needs.

    That is deploy.py, the inventory, what these import of the project, templates of one's own, and
    `also`: further files and folders. Raises BundleError.
    """
    home = Path.cwd()
    wanted = [home / name for name in OF_PYINFRA if (home / name).is_file()]
    wanted = [*_with_imports([*wanted, inventory.resolve()], home)]
    places = dict.fromkeys((inventory.resolve().parent, home))
    folders = [each / "templates" for each in places if (each / "templates").is_dir()]
    own = [each for each in folders if not each.samefile(templates.OURS)]
    for place in (*own, home / "group_data", *also):
        wanted += _below(place.resolve())
    found = {}
    for path in wanted:
        if not path.is_relative_to(home):
            raise BundleError(f"{path} is not below {home}, which is all that a bundle takes")
        found[path.relative_to(home).as_posix()] = path.read_bytes()
    if "deploy.py" not in found:
        raise BundleError(f"no file deploy.py in {home}; run this in the folder that has it")
    if told := [*_secrets(found)]:
        raise BundleError("\n".join(told))
    return found


def _below(place: Path) -> list[Path]:
    paths = [place] if place.is_file() else sorted(place.rglob("*"))
    return [
        path
        for path in paths
        if path.is_file() and not any(map(folder.is_left_out, path.relative_to(place).parts))
    ]


def _with_imports(paths: Iterable[Path], home: Path) -> Iterator[Path]:
    """Yield files, and those below `home` that they import."""
    left, seen = [*paths], set()
    while left:
        path = left.pop()
        if path in seen:
            continue
        seen.add(path)
        yield path
        for name in _imported(path):
            if name.partition(".")[0] in libraries.CODE:
                continue
            for place in (home, path.parent):
                left += _module(place, name.split("."))


def _module(place: Path, names: list[str]) -> Iterator[Path]:
    """Yield the files by which Python imports a module from a folder, if it is there."""
    for count in range(1, len(names) + 1):
        path = place.joinpath(*names[:count])
        for found in (path / "__init__.py", path.with_suffix(".py")):
            if found.is_file():
                yield found


def _imported(path: Path) -> Iterator[str]:
    """Yield the names of the modules that a file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise BundleError(f"{path}, line {error.lineno}: {error.msg}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            yield from (f"{base}{alias.name}" for alias in node.names)


def _secrets(files: Mapping[str, bytes]) -> Iterator[str]:
    for path, content in files.items():
        if PRIVATE_KEY.search(content):
            yield f"{path}: it has a private key, which no bundle takes"
        elif LOGIN.search(content.decode(errors="replace")):
            yield f"{path}: it has a password in a URL; let the app have it by app.secrets"
