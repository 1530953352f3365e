"""Every file that a host would get, without asking one: what is not known of it is assumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from wsdeploy.plan.app import generation
from wsdeploy.plan.components import COMPONENTS
from wsdeploy.plan.host import paths, system
from wsdeploy.plan.host.files import File
from wsdeploy.plan.host.survey import DEBIAN_PYTHON, Survey
from wsdeploy.plan.target import Target
from wsdeploy.release import contents
from wsdeploy.settings import Settings

PACKAGES = {
    "12": {"nginx": "1.22.1-9+deb12u10", "openssl": "3.0.22-1~deb12u2"},
    "13": {"nginx": "1.26.3-3+deb13u10", "openssl": "3.5.7-1~deb13u3"},
}
"""Packages of each Debian release that files depend on. Between updates, what files depend on stays
the same."""

NOT_SHOWN = "(not shown)"


@dataclass(frozen=True)
class Assumed:
    """A host that nobody has asked."""

    debian: str = "12"
    processors: int = 2
    memory: int = 4 * 2**30
    """Bytes."""
    open_files: int = 1_048_576
    """Open files that it allows a process."""

    def __str__(self) -> str:
        """Say what is assumed."""
        processors = f"{self.processors} processor{'s' if self.processors > 1 else ''}"
        return (
            f"Debian {self.debian}, x86_64, {processors}, {self.memory / 2**30:g} GiB of memory, "
            f"{self.open_files:,} open files per process, and nothing else on it"
        )

    def target(self, settings: Settings, host: str) -> Target:
        """Return such a host that has the service's packages, in a fleet of others like it."""
        name, topology = settings.name, settings.topology
        kernel = system.sysctl(Target.unknown(settings, host))
        survey = Survey(
            system={
                "id": "debian",
                "version": self.debian,
                "architecture": "x86_64",
                "python": DEBIAN_PYTHON[self.debian],
            },
            limits={
                "open_files": self.open_files,
                "processors": self.processors,
                "memory": self.memory,
            },
            packages=PACKAGES[self.debian],
            sysctl={key: value for key, value, _ in kernel},
            texts={paths.thumbprint(name): "THUMBPRINT-OF-THE-ACCOUNT"},
            certificates={
                paths.host_keypair(name, spare): {"pem": _certificate("this host", spare)}
                for spare in (False, True)
            },
        )
        count = Target(settings, host, survey).processes
        everyone = dict.fromkeys((*topology.app, *topology.proxy))
        host_certificates = {
            each: tuple(_certificate(each, spare).strip() for spare in (False, True))
            for each in everyone
        }
        counts = dict.fromkeys(topology.app, count)
        return Target(settings, host, replace(survey, app_processes=counts), host_certificates)


@dataclass(frozen=True)
class Preview:
    """A file of a host, as it may be shown."""

    part: str
    """What it belongs to: `Firewall`, `Supervisor`."""
    file: File
    text: str
    """Its content, but for what is secret."""

    @property
    def is_program(self) -> bool:
        """Whether it is a program of wsdeploy's own, the same for every service."""
        return "/wshost/" in self.file.path and self.file.path.endswith(".py")


def files(settings: Settings, host: str, assumed: Assumed) -> Iterator[Preview]:
    """Yield the files of a host, part by part. host: its name in the inventory.

    Certificates that hosts make themselves, and what is in a release, are not among them. Raises
    RenderError for a template of one's own that is wrong.
    """
    target = assumed.target(settings, host)
    for each in COMPONENTS:
        if each.on(target) and each.wanted(target):
            for file in each.files(target).files:
                yield Preview(each.title, file, _shown(settings, file))
    if target.is_app:
        release = contents.release(settings, target.survey)
        wanted = generation.planned(target, release.id, release.main)
        for file in wanted.files:
            yield Preview("Processes", file, _shown(settings, file))


def notes(settings: Settings, host: str, assumed: Assumed) -> Iterator[str]:
    """Yield what such a host does not allow, as a run would say it."""
    target = assumed.target(settings, host)
    if target.is_app and target.limits.app_shortfall:
        yield target.limits.app_shortfall
    if target.is_proxy and target.limits.proxy_shortfall:
        yield target.limits.proxy_shortfall


def _shown(settings: Settings, file: File) -> str:
    """Return a file's content, but for values that the inventory gives or knows how to get."""
    if not file.secret:
        return file.content
    if not file.path.endswith(".env"):
        return f"{NOT_SHOWN}\n"
    private = {*settings.app.env, *settings.app.secrets}
    lines = (line.partition("=") for line in file.content.splitlines())
    return "".join(
        f"{name}={NOT_SHOWN if name in private else value}\n" for name, _, value in lines
    )


def _certificate(owner: str, spare: bool) -> str:
    kind = "spare " if spare else ""
    return f"-----BEGIN CERTIFICATE-----\n({kind}of {owner})\n-----END CERTIFICATE-----\n"
