"""inventories/prod.py, the file that users edit: as it is, and with its suggestions taken up."""

import os
import re
from pathlib import Path

import pytest

from tests import pyinfra_server
from wsdeploy.inventory import load
from wsdeploy.settings import SettingsError

PROJECT = Path(__file__).parents[3]
PROD = PROJECT / "inventories" / "prod.py"

# Code that is commented out, as opposed to prose: an argument or an import.
SUGGESTION = re.compile(r"^( *)# (\w+=.*|from wsdeploy .*)$", re.MULTILINE)


def problems(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        load(path)
    return [(problem.setting, problem.message.split("; ")[-1]) for problem in caught.value.problems]


PLACEHOLDERS = [
    ("domain", "give your service's name"),
    ("tls.email", "give your own address"),
    ("app", "give your own host's name"),
]


def test_unedited_it_says_what_to_edit_and_connects_nowhere() -> None:
    words = ["inventories/prod.py", "deploy.py"]
    done = pyinfra_server.run(words, cwd=PROJECT, env=os.environ, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "3 problems; no host was contacted" in said
    assert "Connecting" not in said
    assert "Traceback" not in said


def test_what_to_edit_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert problems(PROD) == PLACEHOLDERS
    marked = [line for line in PROD.read_text().splitlines() if "# EDIT" in line]
    assert len(marked) == 3


def test_it_is_short() -> None:
    text = PROD.read_text().split('"""')[2]
    active = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert 10 <= len(active) <= 15


def test_every_suggestion_has_a_reason() -> None:
    for _, code in SUGGESTION.findall(PROD.read_text()):
        assert re.search(r"  # \S", code), code


def test_its_suggestions_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Taken up one at a time, they bring no problem of their own but for files that must exist."""
    monkeypatch.chdir(PROJECT)
    text = PROD.read_text()
    imports = [s.group() for s in SUGGESTION.finditer(text) if "import" in s.group(2)]
    for line in imports:
        text = text.replace(line, line.removeprefix("# "))
    suggestions = list(SUGGESTION.finditer(text))
    assert len(suggestions) > 8
    for suggestion in suggestions:
        indent, code = suggestion.groups()
        start, end = suggestion.span()
        setting = code.partition("=")[0]
        before = text[:start]
        if setting == "tls":
            before = re.sub(r"^ *tls=.*\n", "", before, flags=re.MULTILINE)
        inventory = tmp_path / f"{setting}.py"
        inventory.write_text(f"{before}{indent}{code}{text[end:]}")
        found = problems(inventory)
        # The files of a certificate are the user's.
        own = [problem for problem in found if not problem[1].startswith("give one that exists")]
        # What is taken up in place of another goes without that one's.
        left = [each for each in PLACEHOLDERS if not (setting == "tls" and each[0] == "tls.email")]
        if code.startswith("proxy=["):
            # Another placeholder, and neither host has an address for the other.
            left += own[len(left) :]
            assert [name for name, _ in left[-3:]] == ["proxy", "app", "proxy"]
        assert own == left, setting
        files = 2 if "CertFiles" in code else 1 if setting == "ssh_key" else 0
        assert len(found) - len(own) == files
