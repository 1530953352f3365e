"""Tell whether a pod that starts takes WebSockets: the gate of a rollout where nodes ask.

The image of a release has this program, and the pod's startup probe runs it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from wshost.rollout.probe import ProbeError, handshake, target_of

if TYPE_CHECKING:
    from wshost.requests import Startup

PAUSE = 0.05
"""Seconds until an app that does not listen is tried again: cheaper than another start of Python,
and a new pod serves as soon as it can."""


def main(request: Startup) -> None:
    """Be a client; exit 1 and say what was wrong if that fails."""
    end = time.monotonic() + request["wait"]
    target = target_of(request)
    while True:
        try:
            return handshake(target, request["timeout"], request["send"], request["expect"])
        except ConnectionRefusedError:
            if time.monotonic() > end:
                sys.exit(f"the app does not listen on {target.address[0]}:{target.address[1]}")
            time.sleep(PAUSE)
        except ProbeError as error:
            sys.exit(str(error))
        except OSError as error:
            sys.exit(f"the handshake failed: {error.strerror or error}")
