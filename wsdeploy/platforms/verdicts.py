"""What a platform keeps of each setting, and by what; or why it can't.

Nothing is dropped in silence. A setting that a platform can't keep is refused if it says something
else than its default. What hosts do by themselves and platforms don't is named at every run.
docs/reference/targets.md has the table, made from this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from wsdeploy.settings import App, Edge, Settings
from wsdeploy.settings.platforms import Dokku, Fly, Heroku, Koyeb, Platform, Render
from wsdeploy.settings.section import Problem, Section, refused
from wsdeploy.settings.verdict import Verdict, kept, refuse, told

KILLED_AFTER: Mapping[type[Platform], float | None] = {
    Heroku: 30,
    Render: 300,
    Fly: 300,
    Koyeb: 30,
    Dokku: None,
}
"""Seconds from SIGTERM to SIGKILL that there are at most; None where they can be any.

Heroku's are fixed (devcenter, Dyno Shutdown Behavior). Render's `maxShutdownDelaySeconds` (its API)
and Fly's `kill_timeout` (configuration reference) end there. Koyeb tells none: these are what
containers mostly have.
"""

REST = 13.0
"""Seconds after the drain for clients that don't answer and handlers that go on
(`wsapp.config.Config.stop_limit`)."""

PING_MOST: Mapping[type[Platform], float] = {Heroku: 50}
"""Seconds between pings at most: Heroku's router cuts a connection without a byte for 55 s."""


NO_TIER = "there are no tiers there; leave it out"
NO_EDGE = "the platform's router has no such rule; let the app do it, and leave it out"
BY_PLATFORM = "the platform's own"

COMMON: Mapping[str, Verdict] = {
    "domain": kept("a command that the run prints"),
    "tls": told("the platform's own certificate, for the same names"),
    "proxy": told("the platform's own router"),
    "max_connections": kept("`WS_MAX_CONNECTIONS`, for each instance"),
    "firewall": refuse("nothing but the platform's router reaches the app; leave it out", False),
    "name": kept("the app's name there"),
    "hosts_at_once": refuse("the platform replaces instances in its own order; leave it out"),
    "internal_tls": refuse(NO_TIER),
    "security_updates": told("the platform's own images"),
    "take_over": refuse("a new app has nothing to take over; leave it out"),
    "metrics": refuse("the platform has numbers of its own; leave it out"),
    "failover": refuse("the platform's router has the addresses; leave it out"),
    "leaving": refuse("the platform tells instances when they go; leave it out"),
    "app.path": kept("the start command"),
    "app.processes": refuse(
        "an instance has one process; leave it out, and say instances there", 1
    ),
    "app.command": kept("the start command"),
    "app.requirements": kept("`requirements.txt`"),
    "app.exclude": told("what git has is what the platform gets"),
    "app.env": kept("the start command"),
    "app.secrets": kept("their names, and a command that sets each"),
    "app.writable": refuse("what an instance writes is lost with it; keep it elsewhere"),
    "app.listen": refuse('an instance is given one port; leave it out, or give "tcp"', "tcp"),
    "app.port": refuse("the platform gives the port; leave it out"),
    "app.reuse_port": kept("each instance has a port of its own"),
    "app.compression": kept("`WS_COMPRESSION`"),
    "app.max_size": kept("`WS_MAX_SIZE`"),
    "app.ping_interval": kept("`WS_PING_INTERVAL`"),
    "app.ping_timeout": kept("`WS_PING_TIMEOUT`"),
    "app.drain": kept("`WS_DRAIN`"),
    "app.shutdown_drain": told("an instance that goes drains as for a release"),
    "app.max_age": kept("`WS_MAX_AGE`"),
    "app.close_code": kept("`WS_CLOSE_CODE`"),
    "app.start_timeout": told(BY_PLATFORM),
    "app.healthy_for": told("nothing waits for it"),
    "app.hang_timeout": told("no watchdog"),
    "app.health": told("no health check"),
    "app.probe": told("no handshake before clients come"),
    "app.log_level": kept("`WS_LOG_LEVEL`"),
    "app.before_release": kept("`release` in `Procfile`"),
    "app.after_release": refuse("nothing runs it there; leave it out"),
    "app.release_timeout": told(BY_PLATFORM),
    "edge.origins": kept("`WS_ORIGINS`: the app refuses"),
    "edge.origin_required": kept("`WS_ORIGIN_REQUIRED`: the app refuses"),
    "edge.paths": refuse(NO_EDGE),
    "edge.plain_paths": refuse(NO_EDGE),
    "edge.handshakes_per_second": refuse(NO_EDGE),
    "edge.connections": refuse(NO_EDGE),
    "edge.unlimited_networks": refuse("there are no limits to be free of; leave it out"),
    "edge.header_size": refuse(NO_EDGE),
    "edge.behind": refuse("the platform's router is the balancer; leave it out"),
}
"""What is the same on all platforms, but for what follows."""

OWN: Mapping[type[Platform], Mapping[str, Verdict]] = {
    Heroku: {
        "app.drain": kept("`WS_DRAIN`; it and `settle` have 17 s at most"),
        "app.ping_interval": kept("`WS_PING_INTERVAL`, 50 s at most"),
        "app.start_timeout": told("60 s, until it listens"),
    },
    Render: {
        "domain": kept("`domains`"),
        "app.env": kept("`envVars`"),
        "app.secrets": kept("their names in `envVars`; Render asks for them"),
        "app.drain": kept("`WS_DRAIN`, `maxShutdownDelaySeconds`; 287 s at most with `settle`"),
        "app.start_timeout": told("15 minutes"),
        "app.health": kept("`healthCheckPath`"),
        "app.before_release": kept("`preDeployCommand`"),
    },
    Fly: {
        "max_connections": kept("`WS_MAX_CONNECTIONS` and `hard_limit`, for each instance"),
        "app.env": kept("`[env]`"),
        "app.port": kept("`internal_port`"),
        "app.drain": kept("`WS_DRAIN`, `kill_timeout`; 287 s at most with `settle`"),
        "app.start_timeout": kept("`grace_period` of the check"),
        "app.health": kept("`[[http_service.checks]]`"),
        "app.before_release": kept("`release_command`"),
        "app.release_timeout": kept("`release_command_timeout`"),
    },
    Koyeb: {
        "app.port": kept("a command that the run prints"),
        "app.drain": kept("`WS_DRAIN`; it and `settle` have 17 s at most"),
        "app.before_release": refuse("nothing runs before a release there; leave it out"),
        "app.start_timeout": kept("a command that the run prints"),
        "app.health": kept("a command that the run prints"),
    },
    Dokku: {
        "app.drain": kept("`WS_DRAIN`; commands set `wait-to-retire` and `stop-timeout-seconds`"),
        "app.start_timeout": kept("`attempts` of the check in `app.json`"),
        "app.health": kept("`healthchecks` in `app.json`"),
    },
}

WITHOUT = (
    "what hosts have and {title} has not: a limit for each client's address, a WebSocket before "
    "clients come, a watchdog; the firewall is its own"
)
"""What hosts have without being told: said at every run, in a line."""


def verdicts(platform: type[Platform]) -> dict[str, Verdict]:
    """Return what becomes of each setting on a platform."""
    return {**COMMON, **OWN[platform]}


def settings_of(settings: Settings) -> Iterator[tuple[str, object, object]]:
    """Yield the name of each setting, as in an error line, with its value and its default."""
    sections: tuple[tuple[str, Section], ...] = (("", settings),)
    if isinstance(settings.app, App):
        sections += (("app.", settings.app),)
    if isinstance(settings.edge, Edge):
        sections += (("edge.", settings.edge),)
    for prefix, section in sections:
        for field in dataclasses.fields(section):  # type: ignore[arg-type]
            if f"{prefix}{field.name}" not in ("app", "edge"):
                yield f"{prefix}{field.name}", getattr(section, field.name), _default(field)


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def problems(settings: Settings, platform: Platform) -> Iterator[Problem]:
    """Yield what of the settings a platform can't keep."""
    found = verdicts(type(platform))
    title = platform.title
    for name, value, default in settings_of(settings):
        verdict = found[name]
        if verdict.kind == "refused" and value not in (default, *verdict.values):
            yield refused(name, value, f"on {title}, {verdict.words}")
    if isinstance(settings.app, App):
        yield from _app_problems(settings.app, platform)


def _app_problems(app: App, platform: Platform) -> Iterator[Problem]:
    most = PING_MOST.get(type(platform))
    if most is not None and app.ping_interval > most:
        wanted = f"{platform.title} cuts connections without a byte for 55 s; give at most {most:g}"
        yield refused("app.ping_interval", app.ping_interval, wanted)
    for setting, names in (("app.env", app.env), ("app.secrets", app.secrets)):
        if "PORT" in names:
            yield refused(setting, "PORT", f"{platform.title} sets this variable itself")
    for word in app.command or ():
        if "WS_SOCKET" in word:
            wanted = "an instance has no unix socket; use $WS_HOST and $WS_PORT"
            yield refused("app.command", word, wanted)


def notes(settings: Settings, platform: Platform) -> Iterator[str]:
    """Yield a line for each setting that a platform keeps otherwise, or not at all."""
    found = verdicts(type(platform))
    if (drain := drain_of(settings.app, platform)) < settings.app.drain:
        most = KILLED_AFTER[type(platform)]
        yield (
            f"app.drain: {settings.app.drain:g} s given; {platform.title} kills an instance "
            f"{most:g} s after SIGTERM, so it is {drain:g} s there, after {platform.settle:g} s of "
            "settle"
        )
    yield WITHOUT.format(title=platform.title)
    for name, value, default in settings_of(settings):
        if found[name].kind == "told" and value != default:
            given = f"{type(value).__name__}(...)" if isinstance(value, Section) else repr(value)
            yield f"{name}: {given} is not kept; {found[name].words}"


def drain_of(app: App, platform: Platform) -> float:
    """Return the seconds that a drain has on a platform: the setting, or what the limit leaves."""
    most = KILLED_AFTER[type(platform)]
    return app.drain if most is None else min(app.drain, most - REST - platform.settle)
