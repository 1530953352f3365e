"""Who is who between the tiers: each host's own certificate, and those of others that it trusts.

There is no authority. Every host makes its own keys, which never leave it, with certificates that
it signs itself; the hosts of the other tier trust exactly those. What is taken out of the inventory
is trusted no more after the next run, and there is no key anywhere that could make another host one
of the fleet.

A host has two pairs: the one that it uses and a spare one, and the others trust both. So it can
change to the spare one at any moment, and everyone knows that one already.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass

from wsdeploy.plan.host import paths
from wsdeploy.plan.host.files import Command, File
from wsdeploy.plan.host.survey import Request, Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wshost.requests import HostKeypairs

# Ten years: longer than Debian cares for a release, so that no service ever ends with a certificate
# that nobody has thought of. To be trusted no more, a host only has to leave the inventory.
DAYS = 3650
# A deployment that finds a certificate with less time left than this changes to the spare one.
LEAST_DAYS = DAYS // 3
# The spare one is renewed so many days before that: by then the others have to know it.
EARLIER = 365

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----", re.DOTALL)
# Before each certificate in a list of trusted ones. OpenSSL passes over it.
OWNER = "# of "


def name(settings: Settings) -> str:
    """Return the name that all certificates between the tiers are for."""
    return f"{settings.name}.internal"


def own(target: Target) -> tuple[str, ...]:
    """Return the certificates of a host: the one that it uses, and the spare one."""
    found = [target.survey.certificates.get(path) for path in _paths(target.settings)]
    return tuple(each["pem"].strip() for each in found if each)


def work(target: Target, now: datetime.datetime) -> list[str]:
    """Return what a host has to do for two good pairs, in order.

    `promote` lets the spare pair become the one that is used; a path is a pair to be made.
    """
    used, spare = _paths(target.settings)
    left, spare_left = (_days_left(target.survey, path, now) for path in (used, spare))
    if left >= LEAST_DAYS:
        return [] if spare_left >= LEAST_DAYS + EARLIER else [spare]
    if spare_left >= LEAST_DAYS or spare_left > 0 >= left:
        return ["promote", spare]
    # Nobody knows a spare pair that is made now, so the one that is used stays until the next run.
    return [spare] if left > 0 else [used, spare]


def request_for_work(
    settings: Settings, todo: list[str], activate: tuple[Command, ...]
) -> HostKeypairs:
    """Return the request that does that.

    activate: commands that let running programs use the pair, if it is another one.
    """
    used, spare = _paths(settings)
    return {
        "name": name(settings),
        "days": DAYS,
        "used": used,
        "spare": spare,
        "todo": todo,
        "activate": [[*each] for each in activate] if todo[0] != spare else [],
    }


def _days_left(survey: Survey, path: str, now: datetime.datetime) -> float:
    """Return for how many days a certificate is good; none if it is not there."""
    found = survey.certificates.get(path)
    if not found:
        return 0
    ends = datetime.datetime.fromisoformat(found["not_after"].replace(" ", "T"))
    return (ends - now) / datetime.timedelta(days=1)


def _paths(settings: Settings) -> tuple[str, str]:
    return paths.host_keypair(settings.name), paths.host_keypair(settings.name, spare=True)


def trusted(target: Target, peers: Iterable[str]) -> str:
    """Return the list of certificates that a host trusts: those of `peers` and its own.

    Of peers that are no part of this run, those that the host trusts already stay (the lists are in
    the survey's texts). Its own are always there, because there is
    no list without one, and so that it can ask itself.
    """
    known: dict[str, tuple[str, ...]] = {}
    for text in target.survey.texts.values():
        # A host that is in both tiers is in two lists.
        for owner, certificates in certificates_in(text or "").items():
            known[owner] = tuple(dict.fromkeys((*known.get(owner, ()), *certificates)))
    found = {peer: target.host_certificates.get(peer) or known.get(peer, ()) for peer in peers}
    itself = own(target)
    if itself not in found.values():
        found["this host"] = itself
    return "".join(
        f"{OWNER}{owner}\n{certificate}\n"
        for owner, certificates in found.items()
        for certificate in certificates
    )


def notes(target: Target, peers: Iterable[str], trust: str) -> tuple[str, ...]:
    """Say which hosts can't be trusted, because neither this run nor an earlier one met them."""
    known = certificates_in(trust)
    missing = [peer for peer in peers if peer not in known and peer not in target.host_certificates]
    return tuple(
        f"the certificate of {peer} is not known here, so nothing passes between them; run without "
        "--limit"
        for peer in missing
        # Without any, nobody has been asked yet.
        if target.host_certificates
    )


def certificates_in(trust: str) -> dict[str, tuple[str, ...]]:
    """Return the certificates in a list of trusted ones, by their owners."""
    found: dict[str, tuple[str, ...]] = {}
    for part in f"\n{trust}".split(f"\n{OWNER}")[1:]:
        owner, _, text = part.partition("\n")
        found[owner] = (*found.get(owner, ()), *BLOCK.findall(text))
    return found


@dataclass(frozen=True)
class Client:
    """What a proxy needs to talk to app hosts."""

    pair: str
    """The file with its own key and certificate."""
    trust: str
    """The file with the certificates of app hosts, from the configuration's folder."""
    name: str
    """What those certificates are for."""
    file: File
    notes: tuple[str, ...]


def client(target: Target, folder: str) -> Client:
    """Return what a proxy needs whose configuration is in `folder`."""
    settings, peers = target.settings, target.settings.topology.app
    trust = trusted(target, peers)
    path = app_hosts(settings, folder)
    return Client(
        pair=paths.host_keypair(settings.name),
        trust=path.rpartition("/")[2],
        name=name(settings),
        file=File(path, trust, mode=0o600),
        notes=notes(target, peers, trust),
    )


def app_hosts(settings: Settings, folder: str) -> str:
    """Return the file with the certificates that a proxy trusts, in its configuration's folder."""
    return f"{folder}/{settings.name}.app-hosts.pem"


def request(settings: Settings) -> Request:
    """Return what to ask a host about, to plan this part."""
    return Request(packages=("openssl",), certificates=_paths(settings), paths=_paths(settings))
