"""Clients by the thousand, cheap enough that what they talk to is what is measured.

Worker processes with an epoll loop each hold the clients; messages are encoded once, before they
are sent thousands of times; nothing is allocated in the loop that could be allocated before.
`python -m bench.clients.proof` shows that this is no bottleneck.

From Python: `Crowd`. From a shell: `python -m bench.clients --help`, which prints JSON.
"""

from bench.clients.crowd import Crowd
from bench.clients.target import Target

__all__ = ["Crowd", "Target"]
