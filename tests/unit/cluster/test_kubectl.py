"""What kubectl answers, and what stands between it and us."""

import subprocess
from collections.abc import Callable

import pytest

from wsdeploy.deploy.cluster.kubectl import Kubectl, KubectlError

WANTED = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ws"}}
ASK: list[Callable[[Kubectl], object]] = [
    Kubectl.version,
    lambda kubectl: kubectl.get(["services"], "ws"),
    lambda kubectl: kubectl.apply([WANTED]),
    lambda kubectl: kubectl.create(WANTED),
    lambda kubectl: kubectl.replace(WANTED),
]


@pytest.mark.parametrize(
    "said", ["", "null", "3", "[1]", "{}", '{"items": null}', '{"items": [3]}', "hi \x1b[31m"]
)
@pytest.mark.parametrize("ask", ASK)
def test_what_is_no_answer_of_kubectls_ends_a_run_with_a_line(
    ask: Callable[[Kubectl], object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess[str](["kubectl"], 0, said, "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    if said == "" and ask is ASK[1]:
        # Nothing is there.
        assert ask(Kubectl("chat")) == []
        return
    with pytest.raises(KubectlError) as raised:
        ask(Kubectl("chat"))
    assert str(raised.value).isprintable()
