"""The page of numbers that Prometheus reads on a host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypedDict

from wsdeploy.plan.app import watchdog
from wsdeploy.plan.host import paths, programs
from wsdeploy.plan.host.files import File, FileSet, active, restarted
from wsdeploy.plan.host.render import render
from wsdeploy.plan.target import Target
from wsdeploy.settings import Metrics, Settings
from wsdeploy.settings.firewall import Allowed, as_network
from wshost.common.sockets import shown
from wshost.requests import Scrape

NAME = "metrics"


class MetricsSocket(TypedDict):
    """What templates/metrics/metrics.socket.j2 is given."""

    name: str
    listen: str


class MetricsService(TypedDict):
    """What templates/metrics/metrics@.service.j2 is given."""

    name: str
    folder: str
    """The folder with its programs."""
    configuration: str


def unit(settings: Settings) -> str:
    """Return the systemd unit that waits for whoever asks."""
    return f"{settings.name}-{NAME}.socket"


def wanted(settings: Settings) -> bool:
    """Tell whether hosts have the page."""
    return settings.metrics is not None


def allowed(settings: Settings) -> list[Allowed]:
    """Return what the firewall lets in for it."""
    metrics = settings.metrics
    if metrics is None:
        return []
    networks = map(as_network, metrics.allow)
    return [Allowed("tcp", metrics.port, metrics.port, each) for each in networks if each]


def scrape_configuration(settings: Settings, addresses: Mapping[str, str]) -> str:
    """Return the job that lets Prometheus read the page of each host, as an entry of its YAML.

    addresses: of the hosts, by their names.
    """
    port = settings.metrics.port if settings.metrics is not None else 0
    lines = [
        "scrape_configs:",
        "  - job_name: wsdeploy",
        "    scrape_interval: 15s",
        "    static_configs:",
    ]
    for host, address in addresses.items():
        labels = {"service": settings.name, "host": host}
        lines += [
            f"      - targets: [{json.dumps(shown(address, port))}]",
            f"        labels: {json.dumps(labels)}",
        ]
    return "\n".join((*lines, ""))


def configuration(target: Target, metrics: Metrics, units: tuple[str, ...]) -> str:
    """Return what the page is made by. units: those that should be at work on the host."""
    settings, name = target.settings, target.name
    shared = settings.failover.addresses if settings.failover and target.is_proxy else ()
    request: Scrape = {
        "name": name,
        "allow": [str(as_network(each)) for each in metrics.allow],
        "app": target.is_app,
        "proxy": target.is_proxy,
        "watchdog": target.is_app and watchdog.wanted(settings),
        "firewall": settings.firewall is not False,
        "shared": shared[0] if shared else "",
        "units": [*units],
        "certificates": [paths.certificate(name)] if target.is_proxy else [],
        "folders": ["/", "/var/log"],
        "max_connections": settings.max_connections,
    }
    return json.dumps(request, indent=2) + "\n"


def files(target: Target, units: tuple[str, ...]) -> FileSet:
    """Return its programs, its configuration and its units."""
    settings, name = target.settings, target.name
    metrics = settings.metrics
    assert metrics is not None
    folder = paths.metrics(name)
    path = f"{folder}/metrics.json"
    socket: MetricsSocket = {"name": name, "listen": str(metrics.port)}
    service: MetricsService = {"name": name, "folder": folder, "configuration": path}
    return FileSet(
        name=f"{name}-{NAME}",
        files=(
            *programs.files("metrics.scrape", folder),
            File(path, configuration(target, metrics, units)),
            File(paths.unit(unit(settings)), render("metrics/metrics.socket", socket)),
            File(
                paths.unit(f"{name}-{NAME}@.service"), render("metrics/metrics@.service", service)
            ),
        ),
        validate=programs.tried(
            folder, "-m", "wshost.metrics.scrape", "--check", f"{{stage}}{path}"
        ),
        activate=restarted(unit(settings)),
        verify=active(unit(settings)),
    )


def drift(target: Target) -> list[str]:
    """Return what keeps it from being there, now and after a boot."""
    return target.survey.not_running(unit(target.settings))
