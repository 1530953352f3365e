"""The numbers of a process with wsapp, as it tells them in Prometheus' text format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wshost.requests import AppNumbers

SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (-?\d[\d.e+-]{0,30})$")
LABEL = re.compile(r'(\w+)="([^"\\]{0,200})"')
MOST = 10**15
"""No number here is greater; JSON and people could do nothing with it."""
KINDS_MOST = 30
"""Different results, and different codes, that are passed on: an app may choose codes."""


def read(text: str) -> tuple[str, str, AppNumbers] | None:
    """Return a process's name, its group and its numbers; None if an answer has none of these."""
    samples = [match.groups() for line in text.splitlines() if (match := SAMPLE.match(line))]
    single = {name: _number(value) for name, labels, value in samples if not labels}
    info = next((dict(LABEL.findall(it[1] or "")) for it in samples if it[0] == "wsapp_info"), {})
    if "process" not in info or "wsapp_connections" not in single:
        return None
    told = "wsapp_event_loop_lag_last_minute_seconds" in single

    def counts(family: str, label: str) -> dict[str, int]:
        found = {
            dict(LABEL.findall(labels)).get(label, ""): int(_number(value))
            for name, labels, value in samples
            if name == family and labels
        }
        return dict([*found.items()][:KINDS_MOST])

    return (
        info["process"],
        info.get("group", ""),
        {
            "connections": int(single["wsapp_connections"]),
            "most": int(single.get("wsapp_connections_max", 0)),
            "draining": bool(single.get("wsapp_draining")),
            "handshakes": counts("wsapp_handshakes_last_minute", "result") if told else None,
            "closes": counts("wsapp_closes_last_minute", "code") if told else None,
            "lag": single.get("wsapp_event_loop_lag_last_minute_seconds"),
        },
    )


def _number(text: str) -> float:
    try:
        return max(-MOST, min(float(text), MOST))
    except ValueError:
        return 0.0
