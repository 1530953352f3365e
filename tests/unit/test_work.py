"""What is noted of a change that has failed."""

import pytest

from wsdeploy.deploy import work

ASIDE = "sudo: unable to resolve host app1: Name or service not known"


@pytest.mark.parametrize(
    ("lines", "program", "wanted"),
    [
        (["no", "The last lines of x:"], "rollout.rollout", "no"),
        (["", "Reading package lists", "E: no"], "", "E: no"),
        ([ASIDE, "no", "more"], "rollout.rollout", "no"),
        (["no", ASIDE], "", "no"),
        ([ASIDE], "", ASIDE),
        (["the release can't be built: no\nmore"], "said", "the release can't be built: no"),
        ([" ", ""], "rollout.rollout", "it did not say why"),
    ],
)
def test_why_it_failed_is_one_line(lines: list[str], program: str, wanted: str) -> None:
    assert work._cause(lines, program) == wanted
