"""Generations that were deployed before there were descriptions are understood, and come back."""

import base64
import json
import types
from typing import Any

import pytest

from tests.unit.host_programs.conftest import rollout_request
from wshost.common import lock
from wshost.common.listen import Listen
from wshost.rollout import description, earlier, generations, history
from wshost.rollout.generations import Generation

OLD = "0123456789ab"
# As 5f32f4f has written them, but for comments.
CONF = """[program:ws-{generation_id}]
command=/usr/bin/python3 -I /srv/ws/releases/fedcba987654/launch.py {place} 10128 {listen} python x
process_name=ws_%(process_num)02d
numprocs=3
directory=/run/ws/{generation_id}
autostart=true
autorestart=true
stdout_logfile=/var/log/ws/{generation_id}/ws_%(process_num)02d.log

[watchdog:ws-{generation_id}]
listen = {listen}
host = ws.a-company.com
path = /healthz
hang_timeout = 15
start_timeout = 30
stop_wait = 68
"""
LISTEN = {"unix": "unix:/run/ws/{generation_id}", "tcp": "tcp:10.0.0.1:8000"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def conf(kind: str = "unix", generation_id: str = OLD) -> str:
    listen = LISTEN[kind].format(generation_id=generation_id)
    place = f"/etc/ws/{generation_id}.env"
    return CONF.format(generation_id=generation_id, listen=listen, place=place)


def request(kind: str = "unix", generation_id: str = OLD) -> dict[str, Any]:
    new: dict[str, Any] = {**rollout_request(generation_id)}
    same = {key: new[key] for key in earlier.SAME}
    listen = LISTEN[kind].format(generation_id=generation_id)
    return same | {
        "release": "fedcba987654",
        "processes": 3,
        "listen": listen,
        "files": [
            {
                "path": f"/etc/supervisor/conf.d/ws-{generation_id}.conf",
                "content": encoded(conf(kind, generation_id)),
            },
            {"path": f"/etc/ws/{generation_id}.env", "content": encoded(f'X="{generation_id}"\n')},
        ],
        "boot": {
            "path": "/etc/b.conf",
            "content": encoded(f"L+ /run/ws/current {generation_id}\n"),
        },
    }


@pytest.mark.parametrize("kind", LISTEN)
@pytest.mark.parametrize("generation_id", [OLD, f"{OLD}-2"])
def test_what_serves_is_described(
    root: types.SimpleNamespace, kind: str, generation_id: str
) -> None:
    old = Generation("ws", generation_id)
    old.conf.write_text(conf(kind, generation_id))
    listen = LISTEN[kind].format(generation_id=generation_id)
    assert old.described() == {
        "release": "fedcba987654",
        "environment": f"/etc/ws/{generation_id}.env",
        "listen": listen,
        "processes": 3,
        "open_files": 10128,
        "watch": {
            "host": "ws.a-company.com",
            "path": "/healthz",
            "hang_timeout": 15,
            "start_timeout": 30,
            "stop_wait": 68,
        },
    }
    assert old.listens(Listen.read(listen))


@pytest.mark.parametrize("text", ["", "[", "[program:ws-x]\ncommand=x\n"])
def test_what_is_none(root: types.SimpleNamespace, text: str) -> None:
    old = Generation("ws", OLD)
    old.conf.write_text(text)
    assert old.described() is None


def written(
    root: types.SimpleNamespace, kind: str, generation_id: str = OLD, number: int = 1
) -> history.Record:
    """Let a host have a record of that version, and return it as it is read."""
    folder = lock.folder("ws") / "generations"
    folder.mkdir(exist_ok=True)
    path = folder / f"{generation_id}.json"
    path.write_text(
        json.dumps({"request": request(kind, generation_id), "deployed": number, "since": number})
    )
    path.chmod(0o600)
    found = history.record("ws", generation_id)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", LISTEN)
def test_what_a_record_brings_back_is_what_was_there(
    root: types.SimpleNamespace, kind: str
) -> None:
    record = written(root, kind)
    generations.write(Generation("ws", OLD), record.request)
    old = Generation("ws", OLD)
    assert old.conf.read_text() == conf(kind)
    assert old.environment.read_text() == f'X="{OLD}"\n', "what the app is told is not ours"
    text = description.fill(record.request["boot"], OLD)
    assert text == f"L+ /run/ws/current {OLD}\n"
    assert str(generations.listens_at(record.request)) == LISTEN[kind].format(generation_id=OLD)


def test_by_another_name_on_trial_and_waiting(root: types.SimpleNamespace) -> None:
    record = written(root, "tcp")
    again = Generation("ws", f"{OLD}-1")
    generations.write(again, record.request | {"generation": again.id})
    assert again.conf.read_text() == conf("tcp", again.id)
    elsewhere = Listen.read("tcp:127.83.87.68:8000")
    generations.write(again, record.request, elsewhere, autostart=False)
    command = next(it for it in again.conf.read_text().splitlines() if it.startswith("command"))
    assert command.endswith("10128 tcp:127.83.87.68:8000 python x")
    assert "autostart=false\nautorestart=true" in again.conf.read_text()
