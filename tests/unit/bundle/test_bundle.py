"""Bundles: the same bits from the same project, signed as a whole, without a secret."""

import getpass
import gzip
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wsdeploy import (
    App,
    CertFiles,
    FromCommand,
    FromEnv,
    FromFile,
    SelfSigned,
    Settings,
)
from wsdeploy.bundle import build as bundles
from wsdeploy.bundle import libraries, project
from wsdeploy.cli import main
from wsdeploy.release import build, bundled, contents
from wsdeploy.release.build import BuildError

INVENTORY = """
from wsdeploy import *
from names import DOMAIN

settings = Settings(
    DOMAIN,
    App("chat/app.py", secrets={SECRETS}),
    CertFiles("/etc/ws-tls/cert.pem", "/etc/ws-tls/key.pem"),
)
app, proxy = hosts(settings, app=["@local"])
"""
SIGNATURE_END = b"-----END SSH SIGNATURE-----\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and a key to sign with."""
    home = tmp_path / "own-place"
    for name in ("inventories", "chat", "templates/nginx", "steps"):
        (home / name).mkdir(parents=True)
    secrets = (
        f'"TOKEN": FromCommand(["touch", "{tmp_path}/was-run"]), "KEY": FromFile("/etc/ws/KEY")'
    )
    (home / "inventories/machines.py").write_text(INVENTORY.replace("SECRETS", secrets))
    (home / "inventories/names.py").write_text('DOMAIN = "ws.a-company.com"\n')
    (home / "inventories/prod.py").write_text("OTHER = 'hunter2'\n")
    (home / "deploy.py").write_text("import json\nfrom steps import motd\n")
    (home / "steps/__init__.py").write_text("")
    (home / "steps/motd.py").write_text("")
    (home / "templates/nginx/nginx.conf.j2").write_text("# mine\n")
    (home / "templates/.env").write_text("TOKEN=hunter2\n")
    (home / ".env").write_text("TOKEN=hunter2\n")
    (home / "chat/app.py").write_text("print('chat')\n")
    keygen("-t", "ed25519", "-f", str(tmp_path / "key"))
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [str(home / "inventories"), *sys.path])
    monkeypatch.setattr(sys, "argv", ["wsdeploy", "bundle", "inventories/machines.py"])
    monkeypatch.setattr(libraries, "others", lambda *_: {"gevent/__init__.py": b"# a library\n"})
    monkeypatch.delitem(sys.modules, "names", raising=False)
    return home


def keygen(*words: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "", *words], check=True)


def run(*words: str, out: str = "ws.bundle", key: str = "../key") -> Result:
    arguments = ["bundle", "inventories/machines.py", out, "--key", key, *words]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def contents_of(bundle: Path) -> dict[str, bytes]:
    archive = bundle.read_bytes().split(SIGNATURE_END, 1)[1]
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        found = {member.name: tar.extractfile(member) for member in tar}
        return {name: file.read() for name, file in found.items() if file}


def taken(user_data: str, bundle: bytes, place: Path) -> int:
    """Return how a machine's user data ends with a bundle, short of what changes the machine."""
    place.mkdir()
    (place / "fetched").write_bytes(bundle)
    checks, _, changes = user_data.partition("rm -rf /opt/ws\n")
    assert changes
    script = checks.replace('cd "$(mktemp -d)"', f"cd {place}")
    return subprocess.run(["sh", "-c", script], capture_output=True, check=False).returncode


def test_the_same_project_is_the_same_bits(tmp_path: Path) -> None:
    run()
    shutil.rmtree(tmp_path / "cache")
    Path("deploy.py").touch()
    done = run(out="again")
    assert re.match(r"again: \d MB, signed with ssh-ed25519 ", done.stderr)
    assert Path("ws.bundle").read_bytes() == Path("again").read_bytes()
    Path("chat/app.py").write_text("print('another')\n")
    run(out="other")
    assert Path("ws.bundle").read_bytes() != Path("other").read_bytes()


def test_it_has_what_a_run_needs_and_nothing_else(folder: Path) -> None:
    run("--debian", "12")
    found = contents_of(folder / "ws.bundle")
    release = json.loads(found["releases.json"])["3.11 x86_64-manylinux_2_36"]["id"]
    assert {path for path in found if not path.startswith("lib/any/")} == {
        "project/deploy.py",
        "project/inventories/machines.py",
        "project/inventories/names.py",
        "project/steps/__init__.py",
        "project/steps/motd.py",
        "project/templates/nginx/nginx.conf.j2",
        "lib/3.11/gevent/__init__.py",
        "releases.json",
        "run",
        "ws-join.service",
        f"cache/wsdeploy/releases/{release}.tar.gz",
    }
    assert {"lib/any/wsdeploy/cli.py", "lib/any/wshost/survey/survey.py"} <= found.keys()
    assert "lib/any/wsdeploy/data/templates/nginx/nginx.conf.j2" in found
    run("--debian", "12", "--include", "chat")
    assert "project/chat/app.py" in contents_of(folder / "ws.bundle")


def test_it_holds_no_secret_and_nothing_of_this_machine(folder: Path, tmp_path: Path) -> None:
    run()
    assert not (tmp_path / "was-run").exists()
    found = contents_of(folder / "ws.bundle")
    own = {
        path: gzip.decompress(data) if path.endswith(".gz") else data
        for path, data in found.items()
        if not path.startswith("lib/any/")
    }
    private = (tmp_path / "key").read_text().splitlines()[1]
    for word in ("hunter2", str(folder), "own-place", private):
        assert not [path for path, data in own.items() if word.encode() in data], word
    # A name may have two letters, which are in other words, too.
    name = re.compile(rb"(?<!\w)%b(?!\w)" % re.escape(socket.gethostname().encode()))
    assert not [path for path, data in own.items() if name.search(data)]
    with tarfile.open(
        fileobj=io.BytesIO((folder / "ws.bundle").read_bytes().split(SIGNATURE_END, 1)[1])
    ) as tar:
        for member in tar:
            assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
            assert member.uname != getpass.getuser() or not member.uname


def test_a_machine_takes_only_what_the_key_has_signed(tmp_path: Path) -> None:
    done = run("--url", "https://a-company.com/ws.bundle")
    assert "https://a-company.com/ws.bundle" in done.stdout
    told = run("--fetch", "cat fetched").stdout
    assert len(told) < 2000
    good = Path("ws.bundle").read_bytes()
    assert taken(told, good, tmp_path / "good") == 0
    start = good.index(SIGNATURE_END) + len(SIGNATURE_END)
    for number, at in enumerate((60, start, start + 50, len(good) // 2, len(good) - 1)):
        changed = bytearray(good)
        changed[at] ^= 1
        assert taken(told, bytes(changed), tmp_path / f"changed-{number}") != 0, at
    assert taken(told, good[start:], tmp_path / "bare") != 0
    assert taken(told, good + b"\0", tmp_path / "longer") != 0
    keygen("-t", "ed25519", "-f", str(tmp_path / "other"))
    run(key="../other")
    assert taken(told, Path("ws.bundle").read_bytes(), tmp_path / "other-key") != 0
    text = Path("inventories/machines.py").read_text()
    Path("inventories/machines.py").write_text(text.replace("    DOMAIN,", '    DOMAIN, name="b",'))
    run()
    assert taken(told, Path("ws.bundle").read_bytes(), tmp_path / "other-service") != 0


def test_on_the_machine_the_release_is_known_without_the_app(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    wanted = contents.release(
        Settings("ws.a-company.com", App("chat/app.py"), SelfSigned()),
        bundles.survey("13", "x86_64"),
    ).id
    with tarfile.open(
        fileobj=io.BytesIO((folder / "ws.bundle").read_bytes().split(SIGNATURE_END, 1)[1])
    ) as tar:
        tar.extractall(tmp_path / "opt", filter="data")
    shutil.rmtree(folder / "chat")
    monkeypatch.setenv(bundled.FOLDER, str(tmp_path / "opt"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "opt" / "cache"))
    settings = Settings("ws.a-company.com", App("chat/app.py"), SelfSigned())
    found = contents.release(settings, bundles.survey("13", "x86_64"))
    assert (found.id, found.main) == (wanted, "app/app.py")
    assert build.archive(found)
    other = contents.release(settings, bundles.survey("13", "aarch64"))
    with pytest.raises(BuildError, match=r"has none for Python 3\.13 on aarch64"):
        build.archive(other)


REFUSED = [
    (
        {"app": App("a.py", secrets={"A": FromEnv("A")})},
        "app.secrets.A: 'A' given; a machine has no such variable; "
        "give FromFile(...) or FromCommand([...])",
    ),
    (
        {"app": App("a.py", secrets={"A": FromFile("secrets/A")})},
        "app.secrets.A: 'secrets/A' given; it would have to be in the bundle; "
        "give a path on the machine, from / on",
    ),
    (
        {"tls": CertFiles("/etc/cert.pem", "key.pem")},
        "tls.key: 'key.pem' given; it would have to be in the bundle; "
        "give a path on the machine, from / on",
    ),
    (
        {"app": App("a.py", env={"DB_PASSWORD": "hunter2"})},
        "app.env.DB_PASSWORD: it looks like a secret; move it to app.secrets",
    ),
    (
        {"app": App("a.py", env={"BROKER": "redis://me:hunter2@10.0.0.1"})},
        "app.env.BROKER: it looks like a secret; move it to app.secrets",
    ),
    (
        {"app": App("a.py", after_release=["./tell"])},
        "app.after_release: ('./tell',) given; each machine that comes would run it; "
        "leave it out, and run it elsewhere",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_no_bundle_can_have(changes: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"app": App("a.py"), "tls": SelfSigned()} | changes
    settings = Settings("ws.a-company.com", **given)  # type: ignore[arg-type]
    assert [str(each) for each in project.problems(settings, ["@local"])] == [message]


def test_hosts_of_an_inventory_are_yet_to_come() -> None:
    settings = Settings("ws.a-company.com", App("a.py"), SelfSigned())
    assert [str(each) for each in project.problems(settings, ["app1.a-company.com"])] == [
        "app: 'app1.a-company.com' given; a machine that sets itself up has no name yet; "
        'say app=["@local"]'
    ]


def test_variables_that_only_look_like_secrets_at_first_sight() -> None:
    env = {"KEYBOARD": "us", "TOKENS_PER_MINUTE": "5", "API_URL": "https://api.a-company.com/a@b"}
    app = App("a.py", env=env, secrets={"A": FromCommand(["pass", "a"])})
    assert not [*project.problems(Settings("ws.a-company.com", app, SelfSigned()), ["@local"])]


def test_all_mistakes_are_told_together(folder: Path) -> None:
    text = (folder / "inventories/machines.py").read_text()
    (folder / "inventories/machines.py").write_text(text.replace('"/etc/ws-tls/', '"tls/'))
    assert run().output.startswith("inventories/machines.py: 2 problems; no host was contacted\n")
    assert not Path("ws.bundle").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "steps/motd.py: it has a private key, which no bundle takes",
        ),
        (
            "# https://me:hunter2@a-company.com/",
            "steps/motd.py: it has a password in a URL; let the app have it by app.secrets",
        ),
    ],
)
def test_files_with_secrets_stay_here(folder: Path, text: str, message: str) -> None:
    (folder / "steps/motd.py").write_text(f"A = '{text}'\n")
    done = run()
    assert done.exit_code == 1
    assert done.output == f"inventories/machines.py: {message}\n"


def test_a_file_that_is_no_key(folder: Path) -> None:
    (folder / "no-key").write_text("hello\n")
    done = run(key="no-key")
    assert done.exit_code == 1
    assert "--key no-key: ssh-keygen can't sign with it: " in done.output


def test_what_is_installed_on_a_machine_is_what_is_installed_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    wanted = libraries._wanted()
    assert {libraries._name(each) for each in wanted} == {
        "click", "jinja2", "packaging", "pyinfra", "websockets"
    }  # fmt: skip
    pinned = {each.partition("==")[0].lower() for each in libraries._installed()}
    assert {"pyinfra", "gevent", "websockets"} <= pinned
    assert not {"uv", "wsdeploy"} & pinned
