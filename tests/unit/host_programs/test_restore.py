"""What is rolled out when an earlier generation comes back, or the live one is started anew."""

import base64

import pytest

from wshost import anew, generations, history, restore, rollout

OLD, LIVE = "a" * 12, "b" * 12


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def request_of(identity):
    return {
        "name": "ws",
        "by": "anna@laptop",
        "generation": identity,
        "release": f"release-{identity[0]}",
        "version": identity[0],
        "listen": f"unix:/run/ws/{identity}",
        "files": [
            {
                "path": f"/etc/supervisor/conf.d/ws-{identity}.conf",
                "content": encoded(f"[program:ws-{identity}]\ndirectory=/run/ws/{identity}\n"),
            },
            {"path": f"/etc/ws/{identity}.env", "content": encoded(f'X="{identity}"\n')},
        ],
        "boot": {"path": "/etc/boot.conf", "content": encoded(f"L+ /run/ws/current {identity}")},
    }


@pytest.fixture
def asked(root, monkeypatch, supervisord):
    """A host on which one generation was live and another is; notes what is rolled out."""
    before = None
    for identity in (OLD, LIVE):
        (root.path / f"srv/ws/releases/release-{identity[0]}").mkdir()
        generations.link(root.path / "run/ws/current", identity)
        history.went_live(request_of(identity), "deploy", before)
        before = identity
    found = []
    monkeypatch.setattr(rollout, "carry_out", lambda *arguments: found.append(arguments))

    def ask(wanted):
        restore.main({"name": "ws", "restore": wanted, "by": "bert@desk", "later": ["app2"]})
        return found.pop()

    return ask


def test_an_earlier_one_as_it_was(asked):
    request, action = asked(OLD)
    assert action == "rollback"
    assert request == request_of(OLD) | {"by": "bert@desk", "later": ["app2"]}


def test_the_live_one_by_another_name(asked):
    request, action = asked(None)
    again = f"{LIVE}-1"
    assert action == "restart"
    assert request["generation"] == again
    assert request["listen"] == f"unix:/run/ws/{again}"
    conf, env = request["files"]
    assert conf == request_of(again)["files"][0]
    assert env["path"] == f"/etc/ws/{again}.env"
    assert base64.b64decode(env["content"]).decode() == f'X="{LIVE}"\n', "the app's own"
    assert request["boot"] == request_of(again)["boot"]
    assert (request["release"], request["version"]) == ("release-b", "b")


def test_names_of_restarts():
    assert anew.next_identity(LIVE) == f"{LIVE}-1"
    assert anew.next_identity(f"{LIVE}-9") == f"{LIVE}-10"
    again = anew.renamed(request_of(f"{LIVE}-1"), f"{LIVE}-2")
    assert again["files"][0] == request_of(f"{LIVE}-2")["files"][0]


def test_what_is_not_there_any_more(asked, root):
    with pytest.raises(SystemExit, match="there is no record of generation cccccccccccc"):
        asked("c" * 12)
    (root.path / "srv/ws/releases/release-a").rmdir()
    with pytest.raises(SystemExit, match=r"release release-a of generation .* is not on this host"):
        asked(OLD)
