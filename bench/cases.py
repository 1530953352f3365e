"""What is measured. Contenders take turns, another one first in each round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.clients import Crowd
from bench.clients.numbers import Report
from bench.contenders import CADDY, DELAY, GUIDE, OURS, Contender, configure_caddy
from bench.host import pyinfra
from bench.results import Samples

CLIENTS, SIZE = 200, 64
"""Connected clients and bytes of a message. The guide's nginx holds 254 clients."""
AT_ONCE = 32
"""Handshakes under way at a time: enough to keep two processors busy, too few to queue."""
WARM_UP = 0.5
FIRST, IDLE = 200, 2000
"""Clients that come before memory is measured, and idle ones whose memory is measured."""
SETTLE = 3.0
"""Seconds after which the memory of idle clients is read."""
HOLD = DELAY + 5
"""Seconds for which clients stay after a reload."""

MESSAGES, MESSAGE_TIME = "messages/s", "proxy, µs per message"
HANDSHAKES, HANDSHAKE_TIME = "handshakes/s", "proxy, µs per handshake"
MEMORY = "proxy, KiB per idle client"
CUT, CUT_LATER = "cut within 5 s of a reload", f"cut within {HOLD} s of a reload"
EXEC = "pyinfra exec"
RUN = "run with nothing to do, s"
DELAYED = f"{CADDY}, stream_close_delay"


def turns(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """Return the contenders in the order of a round: another one begins each time. Pure."""
    first = number % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def messages(contenders: Sequence[Contender], samples: Samples, rounds: int) -> None:
    """Measure messages: each client sends one when the echo of its last one is there.

    All clients of all contenders are connected, and contenders take four turns of a second in
    each round, so that what slows the machine down for longer slows all of them.
    """
    with ExitStack() as stack:
        crowds = {it: stack.enter_context(Crowd(it.target)) for it in contenders}
        for it, crowd in crowds.items():
            if refused := crowd.open(CLIENTS).refused:
                raise RuntimeError(f"{it.name} refuses clients: {refused}")
        for _ in range(rounds):
            sums = dict.fromkeys(contenders, (0.0, 0.0, 0.0))
            for number in range(4):
                for it in turns(contenders, number):
                    count, seconds, proxy = sums[it]
                    began = it.processor()
                    seen = crowds[it].echo(SIZE, 1.0, WARM_UP)
                    taken = (it.processor() - began) * _measured(seen)
                    sums[it] = count + seen.messages, seconds + seen.seconds, proxy + taken
            for it, (count, seconds, proxy) in sums.items():
                samples.add(MESSAGES, it.name, count / seconds)
                samples.add(MESSAGE_TIME, it.name, proxy / count * 1e6)


def _measured(seen: Report) -> float:
    """Return the share of a command that comes after its warm-up."""
    return seen.seconds / (seen.seconds + WARM_UP)


def handshakes(contenders: Sequence[Contender], samples: Samples, rounds: int) -> None:
    """Measure full handshakes of TLS and WebSocket; clients leave at once."""
    for number in range(rounds):
        for it in turns(contenders, number):
            with Crowd(it.target) as crowd:
                began = it.processor()
                seen = crowd.handshakes(AT_ONCE, 1.5, WARM_UP)
                proxy = (it.processor() - began) * _measured(seen)
            samples.add(HANDSHAKES, it.name, seen.handshakes / seen.seconds)
            samples.add(HANDSHAKE_TIME, it.name, proxy / seen.handshakes * 1e6)


def memory(contenders: Sequence[Contender], samples: Samples, rounds: int) -> None:
    """Measure how much the proxy grows with each client that has sent one message and is idle."""
    for number in range(rounds):
        for it in turns([it for it in contenders if it.kind != GUIDE], number):
            it.restart()
            with Crowd(it.target) as crowd:
                crowd.open(FIRST)
                crowd.echo(SIZE, 0.2, 0.0)
                time.sleep(SETTLE)
                before = it.memory()
                held = crowd.open(IDLE).held
                crowd.echo(SIZE, 0.1, 0.0)
                time.sleep(SETTLE)
                samples.add(MEMORY, it.name, (it.memory() - before) / (held - FIRST) / 1024)


def reloads(contenders: Sequence[Contender], samples: Samples, rounds: int) -> None:
    """Count the clients that a reload of the proxy's configuration cuts, of 200."""
    chosen = [it for it in contenders if it.kind != GUIDE]
    for number in range(rounds):
        for it in turns(chosen, number):
            _reload(it, samples, it.name)
            if it.kind == CADDY:
                configure_caddy(it.host, DELAY)
                it.reload()
                _reload(it, samples, f"{it.host.proxy}: {DELAYED}")
                configure_caddy(it.host)
                it.reload()


def _reload(contender: Contender, samples: Samples, name: str) -> None:
    with Crowd(contender.target, workers=1) as crowd, ThreadPoolExecutor(1) as pool:
        crowd.open(CLIENTS)
        holding = pool.submit(crowd.hold, HOLD)
        contender.reload()
        seen = holding.result()
    samples.add(CUT, name, seen.cut_within(5))
    samples.add(CUT_LATER, name, len(seen.cut))
    samples.notes[f"{name}: close codes"] = sorted({code for _, code in seen.cut})


def runs(contenders: Sequence[Contender], samples: Samples, rounds: int) -> None:
    """Time runs that find nothing to do next to pyinfra that connects and runs `true`."""
    for _ in range(rounds):
        for it in contenders:
            if it.kind == OURS:
                samples.add(RUN, it.name, pyinfra(it.host.proxy, "deploy.py", "-y"))
                exec_true = pyinfra(it.host.proxy, "exec", "--", "true")
                samples.add(RUN, f"{it.host.proxy}: {EXEC}", exec_true)
