"""Bring a new generation of the app's processes into service, beside the old one.

Start it; when each of its processes has passed the gate, swap the link that the proxy goes through.
The old generation is left as it is: `retire` lets it drain when nothing refers to it any more. If
the gate does not open in time, the new generation is removed, and the old one was never touched.

An app that can't share its TCP port with its successor is replaced process by process instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import atomic, progress, storage, supervisor
from wshost.rollout import description, drain, generations, history, trial
from wshost.rollout.gate import GateClosedError, Readiness, wait_healthy
from wshost.rollout.generations import Generation

if TYPE_CHECKING:
    from wshost.requests import Rollout


NOTICED = 3
"""Seconds in which keepalived's check has seen a proxy that serves again."""


def main(request: Rollout) -> None:
    """Roll out what `request` describes; exit 1 with the app's last lines if it is unhealthy."""
    carry_out(request, "deploy")


def carry_out(request: Rollout, action: str) -> None:
    """Roll out what `request` describes, and keep a record of it.

    action: `deploy`, `rollback` or `restart`.
    """
    new = Generation(request["name"], request["generation"])
    later = request.pop("later", [])
    left = f"\n{', '.join(later)}: left as it was" if later else ""
    try:
        with storage.exclusive(storage.STATE):
            request = _reachable(request)
            new = Generation(new.name, request["generation"])
            with history.log_change(action, request, request["by"]):
                before = generations.live(new.name)
                roll_out(new, request)
                history.went_live(request, action, before)
            history.prune(new.name)
    except GateClosedError as closed:
        sys.exit(f"{closed}\n{new.last_lines()}{left}")
    except (supervisor.SupervisorError, OSError) as error:
        sys.exit(f"{new.group}: {error}{left}")
    json.dump({"generation": new.id}, sys.stdout)


def _reachable(request: Rollout) -> Rollout:
    """Return the request; by another ID if nobody reaches its processes, but some run.

    They have clients still, who are closed in turn when the generation is retired.
    """
    name, generation_id = request["name"], request["generation"]
    served = history.record(name, generation_id) is not None
    if not served or not Generation(name, generation_id).lost(generations.listens_at(request)):
        return request
    return {**request, "generation": generations.free_id(name, generation_id)}


def roll_out(new: Generation, request: Rollout) -> None:
    """Start `new`, wait for it, and switch to it."""
    old = [generation for generation in generations.generations(new.name) if generation != new]
    count = request["description"]["processes"]
    names = [f"{new.name}_{number:02d}" for number in range(count)]
    try:
        # Sockets are in a folder of each generation's own. Ports are not.
        rivals = _rivals(old, request)
        if rivals:
            replace(new, rivals, names, request)
        else:
            start_beside(new, old, names, request)
    except (GateClosedError, supervisor.SupervisorError, OSError):
        # A generation that serves already is left alone: half of it is better than nothing.
        if generations.live(new.name) != new.id:
            with contextlib.suppress(supervisor.SupervisorError):
                generations.remove(new, request["stop_wait"])
                for generation in old:
                    generations.start(generation)
        raise
    switch(new, request)


def _rivals(old: list[Generation], request: Rollout) -> list[Generation]:
    """Return the generations that have the ports of the new one and don't share them.

    Raises GateClosedError if those can't be handed over one by one.
    """
    listen = generations.listens_at(request)
    wanted = listen.ports(request["description"]["processes"])
    found = []
    for generation in old:
        record = history.record(generation.name, generation.id)
        if record is None:
            # It has never served, but may have been started.
            if not request["reuse_port"] and generation.listens(listen):
                found.append(generation)
            continue
        if request["reuse_port"] and record.request["reuse_port"]:
            continue
        before = generations.listens_at(record.request)
        taken = wanted & before.ports(record.request["description"]["processes"])
        if taken and before != listen:
            raise GateClosedError(
                f"port {min(taken)[1]} is that of generation {generation.id}, which listens "
                f"there in another way ({before}, and now {listen}); "
                "choose another App.port in the same deploy, then both can be there at once"
            )
        if taken:
            found.append(generation)
    return found


def start_beside(
    new: Generation, old: list[Generation], names: list[str], request: Rollout
) -> None:
    """Start all processes, and wait until they are healthy."""
    readiness = Readiness.of(request)
    serves = generations.live(new.name) == new.id
    if not serves and new.conf.exists() and not new.listens(readiness.listen):
        # A trial that was killed has left it there.
        generations.remove(new, request["stop_wait"])
    if not serves and any(generation.listens(readiness.listen) for generation in old):
        # What one process has shown for all, the others need not show while clients reach them.
        tried = trial.held(new, request)
        readiness = readiness._replace(healthy_for=0) if tried else readiness
        progress.tell({"reached": True})
    generations.add(new, request)
    generations.start(new)
    wait_healthy(new, names, readiness)


def replace(new: Generation, old: list[Generation], names: list[str], request: Rollout) -> None:
    """Put each new process where an old one was, one after the other.

    Were the next one stopped before proxies pass clients to a new one (`back_after`), there could
    be none at all for a client.
    """
    readiness = Readiness.of(request)
    generations.add(new, request, autostart=False)
    each = request["stop_wait"] + request["back_after"] + request["start_timeout"]
    most = len(names) * each + request["healthy_for"]
    with drain.told(old, most), address_held(new.name, most, request["back_after"]):
        for name in names:
            if name != names[0]:
                time.sleep(request["back_after"])
            for generation in old:
                generations.stop(generation, name, request["stop_wait"])
            generations.start(new, name)
            wait_healthy(new, [name], readiness)
            # If the first one stays healthy, so will the others.
            readiness = readiness._replace(healthy_for=0)
    # After a boot they all start by themselves.
    generations.write(new, request)


@contextlib.contextmanager
def address_held(name: str, most: float, after: float) -> Iterator[None]:
    """Keep shared addresses on this host, if it has them, while the app may not be reached.

    The file's time says until when (templates/failover/serves.sh.j2), so nothing that a killed run
    leaves keeps them for longer than `most` seconds.
    after: seconds that a proxy takes to notice the last process.
    """
    # keepalived's check, which a host without shared addresses does not have.
    if not Path(f"/etc/keepalived/{name}-serves.sh").exists():
        yield
        return
    hold = Path(f"/run/{name}/hold")

    def until(moment: float) -> None:
        with contextlib.suppress(OSError):
            hold.touch()
            os.utime(hold, (moment, moment))

    until(time.time() + most)
    try:
        yield
    finally:
        until(time.time() + after + NOTICED)


def switch(new: Generation, request: Rollout) -> None:
    """Let the proxy reach `new`: swap the link, now and after the next boot."""
    lend_sockets(new)
    boot = description.fill(request["boot"], new.id)
    path = Path(f"/etc/tmpfiles.d/{new.name}-generation.conf")
    atomic.write(path, boot, 0o644, atomic.owners("root", "root"))
    atomic.link(Path(f"/run/{new.name}/current"), new.id)
    atomic.link(Path(f"/srv/{new.name}/current"), f"releases/{request['release']}")
    progress.tell({"serves": history.serving(request)})


def lend_sockets(new: Generation) -> None:
    """Let the proxy find sockets that `new` does not have: those of the old generation.

    With fewer processes, or with ports in place of sockets, the proxy goes on asking for the old
    names until its own configuration is changed. `retire` takes these links away.
    """
    generation_id = generations.live(new.name)
    if generation_id in (None, new.id):
        return
    for socket in Path(f"/run/{new.name}/{generation_id}").glob("*.sock"):
        lent = new.sockets / socket.name
        if not lent.exists():
            # Relative: HAProxy looks from inside /run/NAME.
            atomic.link(lent, os.path.relpath(os.path.realpath(socket), new.sockets))
