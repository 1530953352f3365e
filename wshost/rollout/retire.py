"""Let every generation but the one that serves drain and go, and remove old releases and logs.

Clients of the old generation come to the new one by this, so it is watched meanwhile. First a few
clients are moved. If the new generation can't stay up with them, those who are left notice nothing:
the old one serves again, and the new one goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import storage, supervisor
from wshost.common.listen import Listen
from wshost.rollout import (
    belongings,
    clients,
    description,
    drain,
    gate,
    generations,
    history,
    launch,
    rollout,
)
from wshost.rollout.generations import Generation

if TYPE_CHECKING:
    from wshost.requests import Retire, Rollout

FEW = 0.05
"""Share of the clients that move first."""
TRIAL = 3.0
"""Seconds for which the new processes are watched with them: they come back within one, and what
they set off mostly shows within another one."""
SECOND_CHANCE = 8.0
"""Seconds more, if one process has ended in that time: it may have had nothing to do with it."""
ENDS, WITHIN = 2, 30.0
"""So many processes that ended in so many seconds are too many."""
LOOK = 0.25
"""Seconds between two looks."""


class TurnedBadError(Exception):
    """The new generation does not stay up; the message says what happened."""


class Watch:
    """Counts how often processes of a generation ended, from now on."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self._pids = self._look()
        self._ends: list[tuple[float, str]] = []

    def _look(self) -> dict[str, int]:
        return {
            each["name"]: each.get("pid", 0)
            for each in self.generation.processes()
            if each.get("statename") in ("RUNNING", "STARTING")
        }

    def ended(self) -> int:
        """Look again; return how many have ended. Raises TurnedBadError when they are too many."""
        now, pids = time.monotonic(), self._look()
        for name, pid in self._pids.items():
            if pid and pids.get(name) != pid:
                self._ends.append((now, name))
        # One that has ended counts again when it has been started and ended again.
        self._pids = pids
        recent = [name for when, name in self._ends if now - when < WITHIN]
        if len(recent) >= ENDS:
            names = ", ".join(sorted(set(recent)))
            raise TurnedBadError(
                f"generation {self.generation.id} does not stay up: {len(recent)} of its "
                f"processes ended within {now - self._ends[-len(recent)][0]:.1f} s ({names})"
            )
        return len(self._ends)


def main(request: Retire) -> None:
    """Retire what the generation of `request` has replaced.

    Exit 1 with the app's last lines if that generation turns bad.
    """
    keep = Generation(request["name"], request["generation"])
    try:
        with storage.exclusive(storage.STATE):
            # What is retired may have been deployed with a longer drain than the new one.
            stop_wait = history.stop_wait(keep.name, request["stop_wait"])
            retired = retire(keep, stop_wait, request.get("by", ""))
            history.prune(keep.name)
    except TurnedBadError as bad:
        sys.exit(str(bad))
    except (supervisor.SupervisorError, OSError) as error:
        sys.exit(f"{keep.name}: {error}")
    json.dump({"retired": retired}, sys.stdout)


def retire(keep: Generation, stop_wait: float, by: str = "") -> list[str]:
    """Remove all other generations, and what is left of earlier ones. Returns their names.

    Raises TurnedBadError if `keep` does not stay up meanwhile; then another one serves.
    """
    old = [generation for generation in generations.generations(keep.name) if generation != keep]
    watch = Watch(keep)
    with drain.told(old, TRIAL + SECOND_CHANCE + stop_wait):
        try:
            move_few(old, watch)
        except TurnedBadError as bad:
            raise TurnedBadError(take_back(keep, old, stop_wait, str(bad), by)) from None
        with ThreadPoolExecutor() as pool:
            # Each drains by itself; together they take as long as the slowest.
            leaving = [pool.submit(generations.remove, each, stop_wait) for each in old]
            try:
                _see_off(leaving, watch)
            except TurnedBadError as bad:
                raise TurnedBadError(start_again(keep, old, str(bad), by)) from None
    running = [process["pid"] for process in keep.processes() if process.get("pid")]
    belongings.end_strays(keep.name, running)
    for entry in keep.sockets.iterdir():
        if entry.is_symlink() and _is_lent(entry, keep):
            # Lent to the proxy for as long as it knew the old generation only (rollout).
            entry.unlink()
    for folder in Path(f"/run/{keep.name}").iterdir():
        if re.fullmatch(description.GENERATION_ID, folder.name) and folder != keep.sockets:
            generations.clear(Generation(keep.name, folder.name))
    for file in Path(f"/etc/{keep.name}").glob("*.env"):
        if re.fullmatch(description.GENERATION_ID, file.stem) and file != keep.environment:
            file.unlink()
    for file in generations.descriptions(keep.name):
        if file != description.path(keep.conf):
            # Of one that was killed while it was written or removed.
            file.unlink()
    return [generation.id for generation in old]


def _is_lent(link: Path, keep: Generation) -> bool:
    """Tell whether a link in a generation's folder leads to another generation's."""
    target = Path(os.path.normpath(link.parent / os.readlink(link)))
    return target.parent != keep.sockets and target.is_relative_to(keep.sockets.parent)


def move_few(old: list[Generation], watch: Watch) -> None:
    """Let a few clients of generations move, and watch the new processes with them.

    Only wsapp can be asked for that (wsapp.move). Raises TurnedBadError.
    """
    asked = _ask_all(old)
    if not asked:
        return
    end = time.monotonic() + TRIAL
    late = end + SECOND_CHANCE
    while time.monotonic() < end:
        time.sleep(LOOK)
        if watch.ended() and end < late:
            end = late
            # Where both share a port, whom that process had may have come to the old ones, and
            # nobody would be left to set anything off.
            _ask_all([each for each in asked if _shares_its_place(each, watch.generation)])
    for generation in asked:
        # What no process has taken up, it does not know.
        with contextlib.suppress(OSError):
            (generation.sockets / launch.MOVE).unlink(missing_ok=True)


def _ask_all(old: list[Generation]) -> list[Generation]:
    """Ask generations to let a few clients go; return those that knew how to."""
    asked = []
    for each in old:
        # Its working directory is the app's: what it has put in the way, it asks for by itself.
        with contextlib.suppress(OSError):
            if _ask(each):
                asked.append(each)
    return asked


def _shares_its_place(old: Generation, new: Generation) -> bool:
    """Tell whether two generations listen at the same place."""
    found = new.described()
    return found is not None and old.listens(Listen.read(found["listen"]))


def _ask(old: Generation) -> bool:
    """Ask the processes of a generation that have clients to let a few go, one after the other.

    The file is there for the first that sees it, which takes it away.
    """
    if not old.sockets.is_dir():
        return False
    running = {each["pid"] for each in old.processes() if each.get("statename") == "RUNNING"}
    counts = clients.counted(old)
    busy = [pid for pid, count in counts.items() if pid in running and count.clients]
    path, found = old.sockets / launch.MOVE, False
    for _ in busy:
        _place(path, f"{FEW}\n", old.name)
        end = time.monotonic() + 2 * LOOK + 0.5
        while path.exists():
            if time.monotonic() > end:
                # Nobody knows this file.
                path.unlink(missing_ok=True)
                return found
            time.sleep(LOOK / 5)
        found = True
    return found


def _place(path: Path, text: str, user: str) -> None:
    """Put a file into a folder that the app's user may write to; what is there is not trusted."""
    new = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(new, flags, 0o600), "w") as file:
        shutil.chown(file.fileno(), user, user)
        file.write(text)
    new.replace(path)


def _see_off(leaving: list[Future[None]], watch: Watch) -> None:
    """Wait until generations are gone. Raises TurnedBadError, or what went wrong with one."""
    while wait_for(leaving, timeout=LOOK).not_done:
        watch.ended()
    for each in leaving:
        each.result()


def take_back(
    keep: Generation, old: list[Generation], stop_wait: float, reason: str, by: str
) -> str:
    """Let the generation serve again that did before, and remove the new one. Returns what to say.

    None of its processes has been stopped so far.
    """
    words = f"{reason}\n{keep.last_lines()}"
    found = _before(old)
    own = history.record(keep.name, keep.id)
    if found is None or own is None or not _in_the_same_place(found.request, own.request):
        return f"{words}\nWhat served before is there, but does not listen where proxies look now."
    former = Generation(keep.name, found.id)
    if former.lost(generations.listens_at(found.request)):
        return start_again(keep, old, reason, by)
    with history.log_change("taken back", found.request, by):
        rollout.switch(former, found.request)
        generations.remove(keep, stop_wait)
        history.went_live(found.request, "rollback", keep.id)
    return f"{words}\nGeneration {former.id} serves again, and has kept its clients."


def start_again(keep: Generation, old: list[Generation], reason: str, by: str) -> str:
    """Start anew what served before, as its processes stop already. Returns what to say."""
    words = f"{reason}\n{keep.last_lines()}"
    found = _before(old)
    if found is None:
        return f"{words}\nThere is no record of what served before; deploy what is good."
    free = generations.free_id(keep.name, found.id)
    again: Rollout = {**found.request, "generation": free, "by": by}
    former = generations.of(again)
    with history.log_change("taken back", again, by):
        try:
            rollout.roll_out(former, again)
        except gate.GateClosedError as closed:
            return f"{words}\nWhat served before could not be started again: {closed}"
        history.went_live(again, "rollback", keep.id)
    generations.remove(keep, found.request["stop_wait"])
    return f"{words}\nWhat served before serves again, as generation {former.id}."


def _before(old: list[Generation]) -> history.Record | None:
    """Return the record of the generation that was live last."""
    found = [history.record(each.name, each.id) for each in old]
    known = [each for each in found if each is not None]
    return max(known, key=lambda each: each.since, default=None)


def _in_the_same_place(former: Rollout, new: Rollout) -> bool:
    """Tell whether proxies that know where one generation listens find the other one."""
    before, now = (generations.listens_at(each) for each in (former, new))
    if before.unix and now.unix:
        return former["description"]["processes"] >= new["description"]["processes"]
    return before == now
