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
    assert len(marked) == 4


def test_pyinfra_is_told_that_it_has_no_hosts(tmp_path: Path) -> None:
    text = INVENTORY.read_text().replace("example.com", "a-company.com")
    text = text.replace("your-company.com", "a-company.com")
    (tmp_path / "chat.py").write_text(text.replace("files/app.py", "app.py"))
    (tmp_path / "app.py").write_text("")
    header = b"\0" * 257 + b"ustar"
    (tmp_path / "base.tar").write_bytes(header)
    for name in ("config.py", "deploy.py"):
        (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    done = pyinfra_server.run(
        ["-y", "chat.py", "deploy.py"], cwd=tmp_path, env=os.environ, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert said.splitlines()[-1].endswith(
        "objects of a cluster are made by wsdeploy render chat.py"
    )
