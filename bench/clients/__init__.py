"""Clients by the thousand, cheap enough that what they talk to is what is measured.

Worker processes with one epoll loop each hold the clients. Messages are encoded once and sent
thousands of times; the loop allocates as little as Python allows.
"""

from bench.clients.crowd import Crowd
from bench.clients.target import Target

__all__ = ["Crowd", "Target"]
