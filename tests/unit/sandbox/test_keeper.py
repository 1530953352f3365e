import sys
from pathlib import Path

import pytest

from wsdeploy_sandbox.keeper import keep

# Counts its runs in a file, asks to be started again until the third, then ends.
REBOOTS_TWICE = """
import pathlib, sys
runs = pathlib.Path(sys.argv[1])
runs.write_text(runs.read_text() + "x")
print("booting")
sys.exit(133 if len(runs.read_text()) < 3 else 0)
"""


@pytest.mark.parametrize(("before", "runs"), [("", 3), ("xx", 1), ("xxxxx", 1)])
def test_starts_again_only_to_reboot(tmp_path: Path, before: str, runs: int) -> None:
    (tmp_path / "machine").mkdir()
    counter = tmp_path / "runs"
    counter.write_text(before)
    log = tmp_path / "log"
    keep(tmp_path, log, [sys.executable, "-I", "-S", "-c", REBOOTS_TWICE, str(counter)])
    assert len(counter.read_text()) - len(before) == runs
    text = log.read_text()
    assert text.count("booting\n") - text.count("rebooting\n") == runs
    assert text.count("] rebooting") == runs - 1
    assert text.endswith("] ended with status 0\n")
