"""The recording rules for Prometheus: they are rules, and the metrics in them exist."""

import re
from typing import Any

import pytest
import yaml

from tests.unit.docs import pages
from wsapp.metrics import Metrics, render
from wsapp.process import process_numbers

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
