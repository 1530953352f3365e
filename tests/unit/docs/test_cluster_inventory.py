"""inventories/kubernetes.py, as it is, says what to edit."""

from pathlib import Path

import pytest

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
