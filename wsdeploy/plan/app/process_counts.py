"""How many processes each app host has, as proxies on other hosts know it. Pure.

Where the settings give no number (`App(processes="auto")`), each host has its own. A run that is
limited to some hosts asks no others, so a proxy keeps a note of what it has learnt.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from wsdeploy.plan.host.files import File
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

FOLDERS = ("/etc/nginx", "/etc/haproxy")
"""Where a note may be: beside the configuration of one proxy or the other."""


def of(host: str, target: Target) -> int:
    """Return how many processes an app host has; `target` is who wants to know it."""
    return target.survey.app_processes.get(host) or target.processes


def are_cached(settings: Settings) -> bool:
    """Tell whether proxies have to ask the app hosts, and keep what they have said."""
    auto, tiers = settings.app.processes == "auto", not settings.topology.alone
    return auto and tiers and settings.listen() != "shared"


def why_must_stay(target: Target, live: str | None, present: Collection[str]) -> str | None:
    """Return why an app host must keep its number of processes in this run, in words, or None.

    Proxies that are no part of it would go on asking processes that are not there, or not ask new
    ones. live: the generation that serves on the host. present: the hosts of this run.
    """
    absent = [proxy for proxy in target.settings.topology.proxy if proxy not in present]
    group = f"{target.name}-{live}"
    now = sum(process.group == group for process in target.survey.processes or ())
    if not are_cached(target.settings) or not absent or now in (0, target.processes):
        return None
    return (
        f'processes="auto": it would have {target.processes} processes, not {now}, and {absent[0]} '
        "would not learn of it; run without --limit"
    )


def cache_file(target: Target, folder: str) -> tuple[File, ...]:
    """Return a proxy's note, for the folder of its configuration; none if it needs none."""
    settings = target.settings
    if not are_cached(settings):
        return ()
    numbers = {host: of(host, target) for host in settings.topology.app}
    return (File(_path(settings, folder), "".join(f"{h} {n}\n" for h, n in numbers.items())),)


def cached(target: Target) -> Mapping[str, int]:
    """Return what the notes on a host say."""
    texts = [target.survey.texts.get(_path(target.settings, folder)) or "" for folder in FOLDERS]
    rows = [line.rpartition(" ") for text in texts for line in text.splitlines()]
    return {host: int(number) for host, _, number in rows if number.isdigit()}


def request(settings: Settings) -> Request:
    """Return what to ask a proxy about."""
    paths = tuple(_path(settings, folder) for folder in FOLDERS)
    return Request(texts=paths) if are_cached(settings) else Request()


def _path(settings: Settings, folder: str) -> str:
    return f"{folder}/{settings.name}.processes"
