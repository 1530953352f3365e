"""inventories/kubernetes.py, as it is, says what to edit."""

import os
from pathlib import Path

import pytest

from tests import pyinfra_server
from wsdeploy.inventory import read
from wsdeploy.settings import SettingsError

PROJECT = Path(__file__).parents[3]
INVENTORY = PROJECT / "inventories" / "kubernetes.py"


def test_what_to_edit_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    with pytest.raises(SettingsError) as caught:
        read(INVENTORY)
    assert [
        (problem.setting, problem.message.split("; ")[-1]) for problem in caught.value.problems
    ] == [
        ("domain", "give your service's name"),
        ("tls.email", "give your own address"),
        ("kubernetes.image.repository", "give your own"),
        ("kubernetes.image.rootfs", "give one that exists"),
    ]
    marked = [line for line in INVENTORY.read_text().splitlines() if "# EDIT" in line]
    # base.tar is made by a script beside it.
    assert len(marked) == 3


def test_without_kubectl_a_run_says_how_to_get_it(tmp_path: Path) -> None:
    text = INVENTORY.read_text().replace("example.com", "a-company.com")
    text = text.replace("your-company.com", "a-company.com")
    (tmp_path / "chat.py").write_text(text.replace("files/app.py", "app.py"))
    (tmp_path / "app.py").write_text("")
    header = b"\0" * 257 + b"ustar"
    (tmp_path / "base.tar").write_bytes(header)
    for name in ("config.py", "deploy.py"):
        (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    done = pyinfra_server.run(
        ["chat.py", "deploy.py", "--dry"],
        cwd=tmp_path,
        env=os.environ | {"PATH": str(tmp_path)},
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "kubectl is not on this machine, and nothing else talks to clusters; install it" in said
    assert said.splitlines()[-1] == "ws: nothing was changed"
