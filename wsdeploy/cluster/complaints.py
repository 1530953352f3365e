"""What kubectl says when it fails, as a line that says what to do. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from wsdeploy.plan.summary import readable

LOG = re.compile(r"[EWI]\d{4} |Warning: ")
"""What the lines begin with that are for whoever works on kubectl, or no error."""
HEAD = re.compile(r"^(error: |Error from server( \(\w+\))?: )")

Why = Literal["unreachable", "not found", "exists", "conflict", "other"]

UNREACHABLE = (
    "did you specify the right host or port",
    "unable to connect to the server",
    "i/o timeout",
    "no such host",
    "connection refused",
    "tls handshake timeout",
    "deadline exceeded",
    "client.timeout",
    "connection reset",
    "unexpected eof",
    "the server is currently unable",
    "no route to host",
    "http2: client connection lost",
    "etcdserver:",
)
CODES: tuple[tuple[str, Why], ...] = (
    ("(alreadyexists)", "exists"),
    ("(conflict)", "conflict"),
    ("(notfound)", "not found"),
)


@dataclass(frozen=True)
class Complaint:
    """Why kubectl has failed."""

    line: str
    why: Why = "other"


def read(said: str, namespace: str, context: str | None) -> Complaint:
    """Return why kubectl has failed. said: its standard error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [each for each in lines if not LOG.match(each)] or lines
    text = readable(" ".join(HEAD.sub("", each) for each in telling)) or "it did not say why"
    low = " ".join(lines).lower()
    cluster = f"the cluster of context {context}" if context else "the cluster"
    kind = re.search(r'no matches for kind "(\w+)" in version "([^"]+)"', " ".join(lines))
    if "context" in low and ("does not exist" in low or "context was not found" in low):
        wanted = "kubectl config get-contexts shows those that there are"
        found = Complaint(f"kubectl knows no context {context}; {wanted}")
    elif f'namespaces "{namespace}" not found' in low:
        make = f"kubectl create namespace {namespace}"
        found = Complaint(f"there is no namespace {namespace}; make it: {make}")
    elif any(each in low for each in UNREACHABLE):
        found = Complaint(f"{cluster} can't be reached: {text}", "unreachable")
    elif kind:
        found = Complaint(f"{cluster} knows no {kind[1]} ({kind[2]}); install what brings it")
    elif "unauthorized" in low or "must be logged in" in low:
        wanted = "log in to it as for kubectl"
        found = Complaint(f"{cluster} does not know who you are: {text}; {wanted}")
    elif "forbidden" in low:
        found = Complaint(f"{cluster} does not allow it: {text}")
    else:
        why: Why = next((why for code, why in CODES if code in low), "other")
        found = Complaint(f"kubectl: {text}", why)
    return found
