"""The one list of what hosts are made of.

What a host is asked, which packages it gets and what a removal takes away follow from it. A role
says when each is set up (wsdeploy.deploy.roles).
"""

from __future__ import annotations

from wsdeploy.plan.app import generation, leaving, supervisor, watchdog
from wsdeploy.plan.component import Component
from wsdeploy.plan.host import firewall, metrics, neighbours, paths, system, upgrades
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.proxy import (
    acme,
    failover,
    haproxy,
    host_keypairs,
    internal,
    nginx,
    proxies,
    reach,
    tls,
)
from wsdeploy.plan.target import Target
from wsdeploy.settings import CertFiles, Settings

EVERYWHERE = ("app", "proxy")

UPGRADES = Component(
    "upgrades",
    "Package upgrades",
    EVERYWHERE,
    files=lambda it: upgrades.files(it.settings),
    packages=upgrades.packages,
)
UPGRADES_POLICY = Component(
    "policy",
    "Package upgrades restart nothing",
    EVERYWHERE,
    files=upgrades.policy,
)
SYSTEM = Component(
    system.NAME,
    "User, folders, kernel settings",
    EVERYWHERE,
    files=system.files,
    drift=system.drift,
    packages=lambda _: ("python3",),
    asks=system.asks,
)
FIREWALL = Component(
    firewall.NAME,
    "Firewall",
    EVERYWHERE,
    wanted=lambda it: firewall.wanted(it.settings),
    files=firewall.files,
    drift=firewall.drift,
    unit=firewall.unit,
    packages=lambda _: firewall.PACKAGES,
    asks=lambda it: Request(firewalls=(firewall.rules(it.settings),)),
)
SUPERVISOR = Component(
    "supervisor",
    "Supervisor",
    ("app",),
    files=supervisor.files,
    drift=supervisor.drift,
    unit=lambda _: supervisor.UNIT,
    packages=lambda _: ("supervisor",),
    asks=lambda it: generation.asks(it.settings),
    leaves=lambda it: (paths.boot(it.name), paths.started(it.name, supervisor.UNIT)),
)
WATCHDOG = Component(
    watchdog.NAME,
    "Watchdog",
    ("app",),
    wanted=lambda it: watchdog.wanted(it.settings),
    files=lambda it: watchdog.files(it.settings),
    drift=watchdog.drift,
    unit=watchdog.unit,
    leaves=lambda it: (paths.watchdog(it.name),),
)
LEAVING = Component(
    leaving.NAME,
    "Watch for the machine's end",
    ("app",),
    wanted=lambda it: leaving.wanted(it.settings),
    files=lambda it: leaving.files(it.settings),
    drift=leaving.drift,
    unit=leaving.unit,
    leaves=lambda it: (paths.leaving(it.name),),
)
INTERNAL_TLS = Component(
    internal.NAME,
    "TLS from the proxies",
    ("app",),
    wanted=internal.wanted,
    files=internal.files,
    drift=internal.drift,
    unit=internal.unit,
    packages=lambda it: internal.program(it).packages,
    asks=lambda it: internal.asks(it.settings),
    knows_host_certificates=True,
)
PUSHED_CERTIFICATE = Component(
    tls.NAME,
    "Certificate",
    ("proxy",),
    wanted=lambda it: isinstance(it.settings.tls, CertFiles),
    files=proxies.pushed_certificate,
)
REACH = Component(
    reach.NAME,
    "App host monitor",
    ("proxy",),
    wanted=lambda it: reach.wanted(it.settings),
    files=reach.files,
    drift=reach.drift,
    unit=reach.unit,
    packages=lambda _: reach.PACKAGES,
    leaves=lambda it: (paths.reach(it.name),),
    knows_processes=True,
)


def _proxy(proxy: proxies.Proxy) -> Component:
    return Component(
        proxy.NAME,
        proxy.UNIT,
        ("proxy",),
        wanted=lambda it: proxies.chosen(it.settings) is proxy,
        files=proxy.files,
        drift=proxy.drift,
        unit=lambda _: proxy.UNIT,
        packages=lambda _: ("openssl", *proxy.PACKAGES),
        asks=lambda it: proxy.asks(it.settings) + proxies.asks(it.settings),
        leaves=lambda it: (paths.started(it.name, proxy.UNIT), *proxy.logs(it)),
        knows_host_certificates=True,
        knows_processes=True,
    )


NGINX, HAPROXY = _proxy(nginx), _proxy(haproxy)
SHARED_ADDRESSES = Component(
    failover.ADDRESSES,
    "Shared addresses, on lo",
    ("proxy",),
    wanted=lambda it: failover.wanted(it.settings),
    files=failover.lo_files,
    drift=failover.lo_drift,
    unit=failover.addresses_unit,
)
FAILOVER = Component(
    failover.NAME,
    "Shared addresses",
    ("proxy",),
    wanted=lambda it: failover.wanted(it.settings),
    files=failover.files,
    drift=failover.drift,
    unit=lambda _: failover.UNIT,
    packages=lambda _: failover.PACKAGES,
    asks=failover.asks,
)
RENEWAL = Component(
    acme.NAME,
    "Renewal",
    ("proxy",),
    wanted=lambda it: acme.wanted(it.settings),
    files=proxies.renewal,
    drift=acme.drift,
    unit=acme.timer,
    packages=lambda _: acme.PACKAGES,
    asks=lambda it: acme.asks(it.settings),
    also_removed=lambda it: (acme.issued_path(it),),
    leaves=lambda it: (paths.acme_programs(it.name),),
)

METRICS = Component(
    metrics.NAME,
    "Metrics",
    EVERYWHERE,
    wanted=lambda it: metrics.wanted(it.settings),
    files=lambda it: metrics.files(it, _at_work(it)),
    drift=metrics.drift,
    unit=metrics.unit,
    leaves=lambda it: (paths.metrics(it.name),),
)

COMPONENTS = (
    UPGRADES,
    UPGRADES_POLICY,
    SYSTEM,
    FIREWALL,
    SUPERVISOR,
    WATCHDOG,
    LEAVING,
    INTERNAL_TLS,
    PUSHED_CERTIFICATE,
    REACH,
    NGINX,
    HAPROXY,
    SHARED_ADDRESSES,
    FAILOVER,
    RENEWAL,
    METRICS,
)


def _at_work(target: Target) -> tuple[str, ...]:
    """Return the units that should be at work on a host, but for what tells of them."""
    found = [
        each.unit(target.settings)
        for each in COMPONENTS
        if each.unit and each is not METRICS and each.on(target) and each.wanted(target)
    ]
    renews = target.is_proxy and acme.wanted(target.settings)
    return (*found, *([acme.service(target.settings)] if renews else []))


def proxy(settings: Settings) -> tuple[Component, Component]:
    """Return the proxy that the settings choose, and the one that they don't."""
    chosen = proxies.chosen(settings) is nginx
    return (NGINX, HAPROXY) if chosen else (HAPROXY, NGINX)


def units(settings: Settings) -> list[str]:
    """Return the systemd units of the service's own, in the order in which they are stopped."""
    return [unit for unit in reversed(_units(settings)) if unit.startswith(f"{settings.name}-")]


def debian_units(settings: Settings) -> list[str]:
    """Return the units of Debian's that the service may have taken for itself."""
    return [unit for unit in _units(settings) if not unit.startswith(f"{settings.name}-")]


def _units(settings: Settings) -> list[str]:
    return [each.unit(settings) for each in COMPONENTS if each.unit]


def leaves(settings: Settings) -> list[str]:
    """Return patterns of what the service leaves on a host beyond its sets of files."""
    return [pattern for each in COMPONENTS for pattern in each.leaves(settings)]


def packages(settings: Settings, host: str) -> tuple[str, ...]:
    """Return the Debian packages that a host needs, besides what they need themselves."""
    target = Target.unknown(settings, host)
    found = [
        package
        for each in COMPONENTS
        if each.on(target) and each.wanted(target)
        for package in each.packages(settings)
    ]
    return tuple(dict.fromkeys(found))


def request(settings: Settings, host: str) -> Request:
    """Return what to ask a host about; `host` is its name in the inventory."""
    target = Target.unknown(settings, host)
    found = Request(locks=(settings.name,)) + neighbours.request(target)
    for each in COMPONENTS:
        if each.on(target):
            found += each.request(target)
    if target.is_proxy:
        found += tls.request(settings)
    if settings.internal_tls:
        found += host_keypairs.request(settings)
    return found
