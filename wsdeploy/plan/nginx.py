"""nginx as the proxy: its one configuration file."""

from __future__ import annotations

from wsdeploy.files import File, FileSet
from wsdeploy.limits import derive
from wsdeploy.plan import places, tls
from wsdeploy.remote import PROGRAMS
from wsdeploy.render import render
from wsdeploy.settings import Settings
from wsdeploy.survey import Request, Survey

UNIT = "nginx.service"

# Lets a running nginx use a new certificate; those who are connected stay with the old workers.
NEW_CERTIFICATE = [["systemctl", "try-reload-or-restart", UNIT]]


def upstreams(settings: Settings) -> list[str]:
    """Return the app's listeners as nginx writes addresses, through the live generation's link."""
    folder = places.sockets(settings.name, "current")
    return [
        f"unix:{folder}/{settings.name}_{number:02d}.sock"
        for number in range(settings.app.processes)
    ]


def files(settings: Settings, survey: Survey) -> FileSet:
    """Return nginx's configuration for a host."""
    limits = derive(settings, survey)
    configuration = render(
        "nginx/nginx.conf",
        settings=settings,
        limits=limits,
        tls=tls.policy(survey),
        upstreams=upstreams(settings),
        server_names=tls.names(settings),
        certificate=places.certificate(settings.name),
        key=places.key(settings.name),
    )
    return FileSet(
        name=f"{settings.name}-nginx",
        files=(File(places.NGINX_CONF, configuration),),
        validate=(("nginx", "-t", "-q", "-c", f"{{stage}}{places.NGINX_CONF}"),),
        activate=(
            ("systemctl", "enable", "--quiet", UNIT),
            # Those who are connected stay with the old workers.
            ("sh", "-c", (PROGRAMS / "reload_nginx.sh").read_text(), "reload-nginx"),
        ),
        verify=(("systemctl", "is-active", UNIT),),
        notes=(limits.shortfall,) if limits.shortfall else (),
    )


def undone(settings: Settings, survey: Survey) -> list[str]:
    """Return what keeps nginx from running, now and after a boot."""
    return [] if survey.running(UNIT) else [f"{UNIT} is not running as configured"]


def request(settings: Settings) -> Request:
    """Return what to ask a host about, to plan this part."""
    return files(settings, Survey(bare=True)).request() + Request(
        packages=("nginx",), units=(UNIT,)
    )
