"""The recording rules for Prometheus: they are rules, and the metrics in them exist."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.unit.docs import pages
from wsapp.metrics import Metrics, render
from wsapp.process import process_numbers
from wshost.metrics import scrape
from wshost.metrics.page import Page

PATH = "examples/prometheus/ws.rules.yml"
RULES = (pages.PROJECT / PATH).read_text()
PAGE = pages.PAGES["docs/guides/autoscaling.md"]


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES)["groups"]
    assert all(set(group) <= {"name", "interval", "rules"} for group in groups)
    return [rule for group in groups for rule in group["rules"]]


def test_each_has_a_name_of_its_own(rules: list[dict[str, Any]]) -> None:
    assert all(set(rule) == {"record", "expr"} for rule in rules)
    names = [rule["record"] for rule in rules]
    assert len({*names}) == len(names)
    assert all(re.fullmatch(r"ws:[a-z_]+:[a-z0-9_]+", name) for name in names)


def test_the_metrics_in_them_exist(rules: list[dict[str, Any]]) -> None:
    found = render(Metrics(), process_numbers())
    known = set(re.findall(r"^# TYPE (\S+)", found, re.MULTILINE))
    known |= {f"{name}_bucket" for name in known}
    for rule in rules:
        for name in re.findall(r"\b(?:wsapp|process)_\w+", rule["expr"]):
            assert name in known, name


def test_rules_that_use_others_come_after_them(rules: list[dict[str, Any]]) -> None:
    recorded: set[str] = set()
    for rule in rules:
        used = {*re.findall(r"\bws:[a-z_]+:\w+", rule["expr"])}
        assert used <= recorded
        recorded.add(rule["record"])


def test_the_page_names_each(rules: list[dict[str, Any]]) -> None:
    named = {*re.findall(r"`(ws:[a-z_]+:\w+)`", PAGE)}
    assert named == {rule["record"] for rule in rules}


def known_metrics() -> set[str]:
    """Every metric of a host's page, with what histograms are made of."""
    page = Page()
    page.take(render(Metrics(), process_numbers()), {"process": "ws_00"})
    generation: Any = {
        "id": "a", "live": True, "release": "r", "commit": "c",
        "processes": [
            {"name": "ws_00", "runs": True, "starts": 1, "reply": "answered", "text": ""}
        ],
    }  # fmt: skip
    request: Any = {"max_connections": 1, "folders": ["/"]}
    found: dict[str, Any] = {
        "units": {"nginx.service": {"ActiveState": "failed"}}, "certificates": {"c.pem": None},
        "firewall": True, "kills": 0, "clients": 0, "holds": True,
    }  # fmt: skip
    scrape._app(page, [generation])
    scrape._host(page, request, found)
    known = set(re.findall(r"^# TYPE (\S+)", page.text(), re.MULTILINE))
    return known | {f"{name}_{part}" for name in known for part in ("bucket", "count", "sum")}


METRIC = re.compile(r"\b(?:wsapp|process|ws)_\w+")
ALERTS = yaml.safe_load((pages.PROJECT / "examples/prometheus/ws.alerts.yml").read_text())


def test_the_metrics_in_alerts_exist() -> None:
    (group,) = ALERTS["groups"]
    known = known_metrics()
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("page", "ticket")
        for name in METRIC.findall(rule["expr"]):
            assert name in known, (rule["alert"], name)


def test_each_alert_is_tried_both_ways() -> None:
    """By promtool, whose file of tests this is."""
    tests = yaml.safe_load((pages.PROJECT / "examples/prometheus/ws.alerts.test.yml").read_text())
    named = [rule["alert"] for rule in ALERTS["groups"][0]["rules"]]
    assert [each["name"] for each in tests["tests"]] == [
        f"{name} {how}" for name in named for how in ("fires", "does not")
    ]


def test_the_metrics_on_the_dashboard_exist() -> None:
    dashboard = json.loads((pages.PROJECT / "examples/prometheus/dashboard.json").read_text())
    used = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used += [each["query"] for each in dashboard["templating"]["list"]]
    known = known_metrics()
    for text in used:
        for name in METRIC.findall(text):
            assert name in known, text
