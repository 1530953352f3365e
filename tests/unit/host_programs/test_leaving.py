"""The watch for a machine's end, with clouds' metadata made up on loopback."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from wshost.leaving import metadata, service
from wshost.requests import LeavingWatch

STATE = "/latest/meta-data/autoscaling/target-lifecycle-state"
SPOT = "/latest/meta-data/spot/instance-action"
PREEMPTED = "/computeMetadata/v1/instance/preempted"


class Metadata:
    """What a cloud says, and what it was asked."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.asked: list[str] = []
        self.tokens = 0
        made = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                made.asked.append(self.path)
                seconds = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
                made.tokens += 1
                self.answer(200 if seconds else 400, f"token-{made.tokens}")

            def do_GET(self) -> None:
                made.asked.append(self.path)
                if self.path.startswith("/latest/"):
                    known = self.headers["X-aws-ec2-metadata-token"] == f"token-{made.tokens}"
                else:
                    known = self.headers["Metadata-Flavor"] == "Google"
                text = made.there.get(self.path)
                self.answer((404 if text is None else 200) if known else 401, text or "")

            def answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def cloud() -> Iterator[Metadata]:
    made = Metadata()
    yield made
    made.close()


AWS = [
    ({}, None),
    ({STATE: "InService"}, None),
    ({STATE: "Standby"}, None),
    ({STATE: "Terminated"}, "its group wants it to be Terminated"),
    (
        {SPOT: '{"action": "terminate", "time": "2026-12-01T08:22:00Z"}'},
        "spot: terminate at 2026-12-01T08:22:00Z",
    ),
    ({STATE: "InService", SPOT: "soon"}, "spot: soon"),
]


@pytest.mark.parametrize(("there", "reason"), AWS)
def test_aws(cloud: Metadata, there: dict[str, str], reason: str | None) -> None:
    cloud.there = there
    assert metadata.cloud("aws", cloud.url).reason() == reason


def test_a_token_is_asked_for_once_and_again_when_it_is_over(cloud: Metadata) -> None:
    aws = metadata.cloud("aws", cloud.url)
    assert aws.reason() is None
    assert aws.reason() is None
    assert cloud.tokens == 1
    cloud.tokens = 7
    assert aws.reason() is None
    assert cloud.tokens == 8


@pytest.mark.parametrize(
    ("text", "reason"), [("FALSE", None), ("TRUE", "it is preempted"), ("", None)]
)
def test_gcp(cloud: Metadata, text: str, reason: str | None) -> None:
    cloud.there = {PREEMPTED: text}
    assert metadata.cloud("gcp", cloud.url).reason() == reason


def test_metadata_that_are_not_there(cloud: Metadata) -> None:
    with pytest.raises(metadata.MetadataError, match="status 404"):
        metadata.cloud("gcp", cloud.url).reason()
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for name in ("aws", "gcp"):
        with pytest.raises(metadata.MetadataError, match="refused"):
            metadata.cloud(name, url).reason()


def conf(cloud: Metadata, folder: Path, quiet: float = 0.2) -> LeavingWatch:
    return {
        "cloud": "aws", "metadata": cloud.url, "quiet": quiet, "mark": str(folder / "leaving")
    }  # fmt: skip


def test_what_can_not_be_asked_is_said_once(
    cloud: Metadata,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers: list[Any] = [*[metadata.MetadataError("gone")] * 3, None, "the end"]

    class Cloud:
        def reason(self) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(metadata, "cloud", lambda *_: Cloud())
    monkeypatch.setattr(service, "POLL", 0)
    assert service.watch(conf(cloud, tmp_path)) == "the end"
    assert capsys.readouterr().out == "<4>nobody tells when this machine goes: gone\n"


def test_the_health_check_fails_before_the_drain_begins(
    cloud: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    mark = tmp_path / "leaving"
    monkeypatch.setattr(service, "STEP", 0.05)
    monkeypatch.setattr(service, "announce", seen.append)
    monkeypatch.setattr(service, "stop", lambda: seen.append("stop"))
    service.leave(conf(cloud, tmp_path), "the end")
    # Again and again, as a proxy that reloads forgets it.
    assert len(seen) > 2
    assert seen[-1] == "stop"
    assert set(seen[:-1]) == {str(mark)}


def test_both_proxies_are_told(tmp_path: Path) -> None:
    path = str(tmp_path / "admin.sock")
    said: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            taken, _ = listener.accept()
            with taken:
                said.append(taken.recv(1000))
                taken.sendall(b"\n")

        thread = threading.Thread(target=answer)
        thread.start()
        service.announce(str(tmp_path / "leaving"), path)
        thread.join()
    assert (tmp_path / "leaving").exists()
    assert said == [b"experimental-mode on; set var proc.leaving bool(true)\n"]
    # Where nginx is the proxy.
    service.announce(str(tmp_path / "leaving"), str(tmp_path / "none"))


def test_a_configuration_is_tried_before_it_is_used(tmp_path: Path, cloud: Metadata) -> None:
    file = tmp_path / "leaving.json"
    file.write_text(json.dumps(conf(cloud, tmp_path)))
    service.main(["--check", str(file)])
    file.write_text(json.dumps({**conf(cloud, tmp_path), "cloud": "azure"}))
    with contextlib.suppress(KeyError):
        service.main(["--check", str(file)])
        pytest.fail("it takes a cloud that it does not know")
