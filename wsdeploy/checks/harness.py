"""Whether the app that a host serves is one with wsapp, of which more can be asked."""

from testinfra.host import Host

from wsdeploy.settings import Settings


def uses_wsapp(host: Host, settings: Settings) -> bool:
    """Tell whether the app that serves is one with wsapp: by its command, or its imports."""
    if any("wsapp" in word for word in settings.app.command or ()):
        return True
    # The harness itself is in lib/wsapp of each release.
    found = host.run(
        "grep -rqsE --include='*.py' --exclude-dir=wsapp '^[[:space:]]*(from|import) wsapp' "
        "/srv/%s/current/",
        settings.name,
    )
    return bool(found.rc == 0)
