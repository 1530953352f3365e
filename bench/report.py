"""The tables of docs/benchmarks.md. Pure."""

from __future__ import annotations

from bench.cases import (
    CLIENTS,
    CUT,
    CUT_LATER,
    DELAYED,
    EXEC,
    HANDSHAKE_TIME,
    HANDSHAKES,
    HOLD,
    MEMORY,
    MESSAGE_TIME,
    MESSAGES,
    RUN,
)
from bench.contenders import CADDY, DELAY, GUIDE, OURS
from bench.host import PROXIES
from bench.results import Samples, spread, table

MEASURES = {
    MESSAGES: "messages a second",
    MESSAGE_TIME: "the proxy's processor time for a message",
    MEMORY: "the proxy's memory for an idle client",
    HANDSHAKES: "handshakes a second",
    HANDSHAKE_TIME: "the proxy's processor time for a handshake",
}
CALLED = {"nginx": "nginx", "haproxy": "HAProxy"}


def tables(samples: Samples) -> str:
    """Return all tables of a run, and what it ran on."""
    notes = samples.notes
    origin = (
        f"Commit `{notes['commit']}`, `{notes['command']}`, {notes['date']}; {notes['machine']}; "
        f"{', '.join(notes['versions'])}."
    )
    return "\n\n".join((origin, _ratios(samples), _cuts(samples), _runs(samples)))


def _ratios(samples: Samples) -> str:
    head = [f"{CALLED[proxy]} to {other}" for proxy in PROXIES for other in (CADDY, "the guide's")]
    rows = []
    for measure, called in MEASURES.items():
        ratios = [
            spread(samples.ratios(measure, f"{proxy}: {OURS}", f"{proxy}: {other}"))
            for proxy in PROXIES
            for other in (CADDY, GUIDE)
        ]
        found = samples.taken.get(measure, {})
        itself = spread([it for proxy in PROXIES for it in found.get(f"{proxy}: {CADDY}", [])])
        rows.append([called, *ratios, f"{itself} {measure.removeprefix('proxy, ')}"])
    return table(["Ratio", *head, "Caddy itself, on this machine"], rows)


def _cuts(samples: Samples) -> str:
    head = ["nginx", "HAProxy", CADDY, f"{CADDY} with `stream_close_delay {DELAY}s`"]
    ours = [[f"{proxy}: {OURS}"] for proxy in PROXIES]
    theirs = [[f"{proxy}: {kind}" for proxy in PROXIES] for kind in (CADDY, DELAYED)]
    rows = []
    for measure, seconds in ((CUT, 5), (CUT_LATER, HOLD)):
        found = samples.taken.get(measure, {})
        cells = [spread([it for name in names for it in found.get(name, [])])
                 for names in (*ours, *theirs)]  # fmt: skip
        rows.append([f"within {seconds} seconds", *cells])
    return table([f"Clients cut by a reload, of {CLIENTS}", *head], rows)


def _runs(samples: Samples) -> str:
    cells = [
        spread(samples.ratios(RUN, f"{proxy}: {OURS}", f"{proxy}: {EXEC}")) for proxy in PROXIES
    ]
    return table(
        ["Ratio", *(CALLED[proxy] for proxy in PROXIES)],
        [["a run that finds nothing to do, to `pyinfra exec -- true`", *cells]],
    )
