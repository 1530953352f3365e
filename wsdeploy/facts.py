"""What a host is like, asked in one exchange for everything that its roles manage."""

from __future__ import annotations

import json
from weakref import WeakKeyDictionary

from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host
from pyinfra.context import ctx_host, state

from wsdeploy import remote
from wsdeploy.plan import app, firewall, proxies, system, tls, watchdog
from wsdeploy.settings import Settings
from wsdeploy.survey import Request, Survey


class HostSurvey(FactBase[Survey]):
    """The state of a host, as far as the request on standard input asks for it."""

    def command(self) -> str:
        """Return the command; the request goes to its standard input."""
        return remote.command_on_bare_host("survey")

    def process(self, output: list[str]) -> Survey:
        """Read the answer. Raises FactProcessError, which fails this host only."""
        try:
            return Survey.from_json(json.loads("\n".join(output)))
        except (ValueError, TypeError) as error:
            raise FactProcessError(f"not a survey: {error}") from error


# pyinfra asks again for every operation; a host only changes when we change it, or between the
# planning of a run and its execution.
_known: WeakKeyDictionary[Host, tuple[bool, Survey]] = WeakKeyDictionary()


def survey(settings: Settings) -> Survey:
    """Return the survey of the current host, asking only if what is known may have changed."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    executing = state.is_executing
    asked_while, found = _known.get(host, (None, Survey()))
    if asked_while is not executing:
        request = request_for(settings, host.name)
        answer = host.get_fact(HostSurvey, _stdin=remote.payload("survey", request.to_json()))
        found = answer or Survey(bare=True)
        _known[host] = (executing, found)
    return found


def forget() -> None:
    """Ask the current host again next time, because it is about to change."""
    _known.pop(ctx_host.get(), None)  # type: ignore[no-untyped-call]


def request_for(settings: Settings, host: str) -> Request:
    """Return what to ask a host about; `host` is its name in the inventory."""
    request = system.request(settings, host)
    if host in settings.topology.app:
        request += app.request(settings) + firewall.request(settings, host)
        request += watchdog.request(settings)
    if host in settings.topology.proxy:
        request += tls.request(settings) + proxies.request(settings, host)
    return request
