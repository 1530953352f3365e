"""Settings and surveys to plan with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.inventory.groups import _topology
from wsdeploy.plan.host.survey import Survey

MakeSettings = Callable[..., Settings]
MakeSurvey = Callable[..., Survey]

VERSIONS = {
    "12": {"nginx": "1.22.1-9+deb12u10", "openssl": "3.0.22-1~deb12u2"},
    "13": {"nginx": "1.26.3-3+deb13u10", "openssl": "3.5.7-1~deb13u3"},
}
PYTHON = {"12": "3.11", "13": "3.13"}
SYSCTL = ("net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_migrate_req")


def at(name: str, address: str) -> tuple[str, dict[str, str]]:
    return (name, {"private_address": address})


GROUPS: dict[str, dict[str, list[Any]]] = {
    "alone": {"app": ["one"], "proxy": ["one"]},
    "tiers": {
        "app": [at("app1", "10.0.0.1"), at("app2", "fd00::2")],
        "proxy": [at("lb1", "10.0.0.9"), at("lb2", "fd00::9")],
    },
    "pair": {
        "app": [at("one", "10.0.0.1"), at("two", "10.0.0.2")],
        "proxy": [at("one", "10.0.0.1"), at("two", "10.0.0.2")],
    },
    "pair of proxies": {
        "app": [at("app1", "10.0.0.1"), at("app2", "fd00::2")],
        "proxy": [at("lb1", "10.0.0.8"), at("lb2", "10.0.0.9")],
    },
}


def in_groups(settings: Settings, groups: dict[str, list[Any]]) -> Settings:
    """The same settings as in an inventory, whether they are good or not."""
    return settings.placed(_topology(groups, {}))


@pytest.fixture
def make(tmp_path: Path) -> MakeSettings:
    """Good settings for an app that exists, but for what a test changes."""
    (tmp_path / "app.py").write_text("print('one')\n")

    def settings(
        app: dict[str, Any] | None = None,
        groups: dict[str, list[Any]] | str = "alone",
        **changes: Any,
    ) -> Settings:
        good: dict[str, Any] = {"domain": "ws.a-company.com", "tls": SelfSigned()}
        made = Settings(app=App(str(tmp_path / "app.py"), **(app or {})), **good | changes)
        return in_groups(made, GROUPS[groups] if isinstance(groups, str) else groups)

    return settings


@pytest.fixture
def tiers(make: MakeSettings) -> MakeSettings:
    """Settings for two app hosts behind two proxies, but for what a test changes."""

    def settings(
        app: dict[str, Any] | None = None,
        groups: dict[str, list[Any]] | None = None,
        **changes: Any,
    ) -> Settings:
        return make(app, GROUPS["tiers"] | (groups or {}), **changes)

    return settings


@pytest.fixture
def debian() -> MakeSurvey:
    """A host with everything installed and nothing deployed, but for what a test changes."""

    def survey(
        version: str = "12", open_files: int = 1_048_576, processors: int = 2, **more: Any
    ) -> Survey:
        host: dict[str, Any] = {
            "system": {
                "id": "debian",
                "version": version,
                "architecture": "x86_64",
                "python": PYTHON[version],
            },
            "limits": {"open_files": open_files, "processors": processors},
            "packages": VERSIONS[version],
            "sysctl": dict.fromkeys(SYSCTL, "1"),
        }
        return Survey(**host | more)

    return survey
