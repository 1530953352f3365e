"""What the benchmark derives from a deployed configuration."""

import difflib
import re

import pytest

from bench.traffic.plain import HAPROXY, NGINX, without_tls
from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy import HAProxy, Nginx
from wsdeploy.plan.proxy import proxies
from wsdeploy.plan.target import Target

CASES = {
    "nginx": (Nginx, "/etc/nginx/nginx.conf", NGINX, r"listen|pid |ssl_reject_handshake"),
    "haproxy": (HAProxy, "/etc/haproxy/haproxy.cfg", HAPROXY, r"bind|stats socket|str\(https?\)"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", ["12", "13"])
def test_without_tls_only_the_listeners_are_others(
    make: MakeSettings, debian: MakeSurvey, case: str, version: str
) -> None:
    kind, path, changes, words = CASES[case]
    settings = make(proxy=kind())
    files = proxies.chosen(settings).files(Target(settings, "one", debian(version))).files
    deployed = next(file.content for file in files if file.path == path)
    found = without_tls(deployed, changes)
    lines = difflib.ndiff(deployed.splitlines(), found.splitlines())
    changed = [line for line in lines if line[0] in "+-"]
    assert all(re.search(words, line) for line in changed), changed
    assert not any("ssl" in line or "443" in line for line in changed if line[0] == "+")
    assert ":8080" in found or "listen 8080" in found


def test_a_template_with_other_words_is_noticed() -> None:
    with pytest.raises(ValueError, match="nothing in the configuration matches"):
        without_tls("listen 443 quic;", NGINX)
