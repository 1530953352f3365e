"""The example for AWS, as cfn-lint sees it: it has CloudFormation's schemas with it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "examples"
TEMPLATE = EXAMPLES / "aws" / "fleet.yaml"
UV = Path(sys.executable).with_name("uv")


def lint(template: Path) -> subprocess.CompletedProcess[str]:
    lock = EXAMPLES / "requirements.lock"
    return subprocess.run(
        [
            UV, "run", "--quiet", "--no-project", "--with-requirements", lock,
            "cfn-lint", "--non-zero-exit-code", "informational", template,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_template_is_one() -> None:
    done = lint(TEMPLATE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("HeartbeatTimeout:", "HeartbeatTimeut:", "HeartbeatTimeut"),
        ("TargetValue: 60", "TargetValue: high", "'high' is not of type 'number'"),
        ("TargetGroupARNs: [!Ref Machines]", "TargetGroupARNs: [!Ref Engines]", "Engines"),
    ],
)
def test_a_mistake_in_it_is_found(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    text = TEMPLATE.read_text()
    assert right in text
    copy = tmp_path / "fleet.yaml"
    copy.write_text(text.replace(right, wrong))
    done = lint(copy)
    assert done.returncode != 0
    assert said in done.stdout


def test_the_target_follows_the_documentation() -> None:
    """The policy divides by a number that AWS only has if the group collects it."""
    text = TEMPLATE.read_text()
    (collected,) = re.findall(r"Metrics: \[(\w+)\]", text)
    assert text.count(f"MetricName: {collected}") == 1
