"""A host that somebody else uses already: said first, and as it was when the service has gone."""

from collections.abc import Callable

import pytest

from tests.sandbox.site import Site

COMBINATIONS = [("bookworm", "Nginx")]

BLOG = """
server {
    listen 80 default_server;
    location / { return 200 "the blog"; }
}
"""
STATE = """
find / -xdev \\( -path /proc -o -path /sys -o -path /tmp -o -path /run -o -path /var/log/journal \
    -o -path /var/cache -o -path /root \\) -prune -o -print | sort
getent passwd; getent group
systemctl list-unit-files --state=enabled --no-legend --plain | sort
nft list tables
"""


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    made = make_site(
        ["neighbours"], ["neighbours"], app='App("files/app.py", processes=2, drain=1)'
    )
    made.ssh(
        "rm -f /etc/nginx/sites-enabled/default; cat >/etc/nginx/sites-enabled/blog; "
        "systemctl enable --quiet --now nginx; mkdir -p /srv/photos",
        text=BLOG,
    )
    return made


def state(site: Site) -> set[str]:
    """Files, users, units and tables of the packet filter."""
    return set(site.ssh(STATE).splitlines())


def blog(site: Site) -> str:
    return site.ssh(
        "python3 -c 'import urllib.request as r; "
        'print(r.urlopen("http://127.0.0.1/").read().decode())\''
    ).strip()


@pytest.fixture(scope="module")
def before(site: Site) -> set[str]:
    return state(site)


def test_the_run_ends_before_it_changes_anything(site: Site, before: set[str]) -> None:
    result = site.pyinfra()
    assert result.code == 1
    said = " ".join(result.output.split())
    assert "1 thing is in the way; nothing was changed:" in said
    assert "nginx has a configuration that is not ours (/etc/nginx/sites-enabled/blog)" in said
    assert "Settings(take_over=True)" in said
    assert "Traceback" not in said
    # The lock of a run is taken with its first change, and there was none.
    assert state(site) - before == set()
    assert blog(site) == "the blog"


def test_with_leave_it_is_taken_over_and_kept(site: Site) -> None:
    site.deploy(take_over="True")
    site.echoes()
    for drain in (2, 3, 4, 5, 6):
        site.deploy(proxy=f"Nginx(shutdown_timeout={drain * 100})")
    kept = site.ssh("cat /var/lib/wsdeploy/before/etc/nginx/nginx.conf")
    assert "include /etc/nginx/sites-enabled/*" in kept
    site.converged()


def test_a_second_service_is_refused(site: Site) -> None:
    one = dict(site.settings)
    present = state(site)
    site.write(name="'chat'")
    result = site.pyinfra()
    assert result.code == 1
    assert "the service ws of another inventory is here" in " ".join(result.output.split())
    assert state(site) - present == set()
    site.settings.clear()
    site.write(**one)
    site.converged()


def test_nothing_is_left_and_what_was_there_is_back(site: Site, before: set[str]) -> None:
    result = site.pyinfra("-y", "wsdeploy.remove", "data=delete")
    assert result.code == 0, result.output
    now = state(site)
    # Packages stay, with what they have made.
    assert [line for line in now - before if "/ws" in line or "wsdeploy" in line] == []
    assert [line for line in before - now if "/var/lib/systemd" not in line] == []
    assert blog(site) == "the blog"
    again = site.pyinfra("-y", "wsdeploy.remove")
    assert again.code == 0, again.output
