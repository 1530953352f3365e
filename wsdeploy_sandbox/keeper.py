"""Keeps one host running: starts systemd-nspawn, and starts it again when the host reboots.

Run as a program of its own, by its path and without site-packages, so that it is small, starts at
once and outlives the command that started it:

    python -I -S keeper.py GROUP LOG COMMAND...

It joins GROUP/keeper, returns to its caller as soon as it is in the background, runs COMMAND in
GROUP/machine, and writes what the host's console says to LOG. It ends when the host powers off.
"""

import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

REBOOT = 133
"""The status with which systemd-nspawn asks to be started again."""


def keep(group: Path, log: Path, command: list[str]) -> None:
    """Run the command again and again for as long as it ends in order to reboot."""

    def join_machine() -> None:
        (group / "machine" / "cgroup.procs").write_text("0")

    with log.open("ab", buffering=0) as console:
        status = REBOOT
        while status == REBOOT:
            status = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                preexec_fn=join_machine,
                check=False,
            ).returncode
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            what = "rebooting" if status == REBOOT else f"ended with status {status}"
            console.write(f"\n[{now}] {what}\n".encode())


def main() -> None:
    """Go to the background and keep the host."""
    group, log, command = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    (group / "keeper" / "cgroup.procs").write_text("0")
    log.touch(mode=0o600)
    if os.fork():
        os._exit(0)
    os.setsid()
    # A terminal that is closed, or Ctrl-C in it, must not end the hosts started from there.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    keep(group, log, command)


if __name__ == "__main__":
    main()
