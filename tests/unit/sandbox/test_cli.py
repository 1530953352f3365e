import pytest

from wsdeploy_sandbox.cli import parser, table
from wsdeploy_sandbox.host import SandboxHost


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("up ws app:trixie", {"command": "up", "names": ["ws", "app:trixie"]}),
        ("list --json", {"command": "list", "json": True}),
        ("ssh ws", {"command": "ssh", "name": "ws", "words": []}),
        ("ssh admin@ws ls -l", {"name": "admin@ws", "words": ["ls", "-l"]}),
        ("down", {"command": "down", "names": []}),
        ("poweroff a b", {"command": "poweroff", "names": ["a", "b"]}),
    ],
)
def test_command_lines(line: str, expected: dict[str, object]) -> None:
    assert expected.items() <= vars(parser().parse_args(line.split())).items()


def test_table_is_aligned() -> None:
    host = SandboxHost(
        "ws", "trixie", "10.77.77.11", "fd77::11", "root", "k", "ws.t", "running", "h"
    )
    header, row = table([host]).splitlines()
    assert header.split() == ["NAME", "SUITE", "STATE", "ADDRESS", "ADDRESS6", "DOMAIN"]
    assert row.index("10.77.77.11") == header.index("ADDRESS")
