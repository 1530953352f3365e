"""The generator is no bottleneck: what it reaches with a server that does nothing.

Every rate of messages in the results of bench/traffic must be clearly below these, and so must
plain handshakes. Of a TLS handshake, the clients' side takes about half: there, processor times
are what can be compared.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import results
from bench.clients.crowd import Crowd
from bench.clients.numbers import Report
from bench.clients.responder import respond
from bench.clients.target import Target
from wsdeploy_sandbox.command import run

SIZES = (64, 4096)
CLIENTS = 200


@contextlib.contextmanager
def responder(size: int, pair: Path | None) -> Iterator[Target]:
    """Run the server that does nothing; messages have `size` bytes, `pair` is its certificate."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, size, str(pair) if pair else None)
    process = context.Process(target=respond, args=arguments, daemon=True)
    process.start()
    scheme = "wss" if pair else "ws"
    try:
        yield Target(f"{scheme}://localhost/", (("127.0.0.1", ours.recv()),))
    finally:
        process.kill()
        process.join()


def certificate(folder: Path) -> Path:
    """Make a certificate like that of a deployment (P-256), and return its file with the key."""
    pair = folder / "pair.pem"
    key = folder / "key.pem"
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(pair)),
    )
    pair.write_text(pair.read_text() + key.read_text())
    return pair


def main(quick: bool) -> None:
    """Measure, and write the result."""
    rounds, seconds = (2, 1.0) if quick else (5, 2.0)
    found: dict[str, results.Measurement] = {}

    def note(name: str, unit: str, value: float) -> None:
        found.setdefault(name, results.Measurement(unit, [])).samples.append(value)

    def note_load(name: str, report: Report) -> None:
        note(f"{name}: generator", "s/s", report.processor / report.seconds)

    with tempfile.TemporaryDirectory() as folder:
        pair = certificate(Path(folder))
        for _ in range(rounds):
            for name, served in (("plain", None), ("TLS", pair)):
                for size in SIZES:
                    with responder(size, served) as target, Crowd(target) as crowd:
                        crowd.open(CLIENTS)
                        echoed = crowd.echo(size, seconds)
                    note(f"{name}, {size} B", "messages/s", echoed.messages_per_second)
                    note_load(f"{name}, {size} B", echoed)
                for resume in (False, True) if served else (False,):
                    kind = "resumed" if resume else "handshakes"
                    with responder(64, served) as target, Crowd(target) as crowd:
                        shaken = crowd.handshakes(16, seconds, resume=resume)
                    note(f"{name}, {kind}", "handshakes/s", shaken.handshakes_per_second)
                    note_load(f"{name}, {kind}", shaken)
    results.write("traffic", "generator", found, {"clients": CLIENTS}, quick=quick)


if __name__ == "__main__":
    main("--quick" in sys.argv)
