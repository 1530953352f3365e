"""Samples become ratios, ratios become the tables of the page."""

from pathlib import Path

import pytest

from bench import cases, report, results
from bench.contenders import CADDY, GUIDE, OURS, Contender, caddyfile
from bench.host import Host


def samples() -> results.Samples:
    made = results.Samples(
        notes={
            "commit": "0123456789", "command": "make bench", "date": "2026-01-01",
            "machine": "2 processors", "versions": ["caddy v2.11.7"],
        }
    )  # fmt: skip
    for kind, values in {
        OURS: (8.0, 30.0, 2.0),
        CADDY: (4.0, 10.0, 1.0),
        GUIDE: (4, 30, 4),
    }.items():
        for value in values:
            made.add(cases.MESSAGES, f"nginx: {kind}", value)
    for kind, cut in {OURS: 0, CADDY: 200, cases.DELAYED: 0}.items():
        made.add(cases.CUT, f"haproxy: {kind}", cut)
    made.add(cases.RUN, f"nginx: {OURS}", 0.9)
    made.add(cases.RUN, "nginx: pyinfra exec", 0.6)
    return made


def test_ratios_are_those_of_each_round() -> None:
    # What slowed the third round down slowed both.
    assert samples().ratios(cases.MESSAGES, f"nginx: {OURS}", f"nginx: {CADDY}") == [2, 3, 2]
    assert samples().ratios(cases.MESSAGES, f"haproxy: {OURS}", f"haproxy: {CADDY}") == []


def test_what_is_written_is_read(tmp_path: Path) -> None:
    samples().write(tmp_path / "results.json")
    assert results.load(tmp_path / "results.json") == samples()


def test_the_tables_show_medians_with_their_spread_and_dashes_for_what_is_missing() -> None:
    found = report.tables(samples())
    assert "Commit `0123456789`, `make bench`, 2026-01-01" in found
    assert (
        "| messages a second | 2.00 (2.00 to 3.00) | 1.00 (0.50 to 2.00) | - | - "
        "| 4.00 (1.00 to 10.0) messages/s |"
    ) in found
    assert "| within 5 seconds | - | 0 | 200 | 0 |" in found
    assert "| a run that finds nothing to do, to `pyinfra exec -- true` | 1.50 | - |" in found


def test_only_what_is_between_the_markers_of_the_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    results.publish("new", page)
    results.publish("newer", page)
    assert page.read_text() == f"before\n{results.BEGIN}\n\nnewer\n\n{results.END}\nafter\n"


def test_the_page_shows_the_samples_that_are_published(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(results.PAGE.read_text())
    results.publish(report.tables(results.load(results.FILE)), page)
    assert page.read_text() == results.PAGE.read_text()


def test_another_contender_begins_each_round() -> None:
    host = Host("nginx", "bench-nginx", "10.0.0.2", "bench.test")
    made = [Contender(kind, host, 443, "x.service") for kind in (OURS, GUIDE, CADDY)]
    orders = [[it.kind for it in cases.turns(made, number)] for number in range(4)]
    assert orders[1] == [GUIDE, CADDY, OURS]
    assert orders[3] == orders[0] == [OURS, GUIDE, CADDY]


@pytest.mark.parametrize(("delay", "lines"), [(0, 0), (10, 1)])
def test_caddy_has_its_defaults_but_for_the_balancing(delay: int, lines: int) -> None:
    found = caddyfile(
        "ws.test", ["/run/ws/current/ws_00.sock", "/run/ws/current/ws_01.sock"], delay
    )
    assert "https://ws.test:8444 {" in found
    assert (
        "reverse_proxy unix//run/ws/current/ws_00.sock unix//run/ws/current/ws_01.sock {" in found
    )
    assert "lb_policy least_conn" in found
    assert found.count("stream_close_delay 10s") == lines


def test_numbers_have_digits_that_count() -> None:
    numbers = (0.0823, 0.25, 1.804, 24.04, 199.6, 5912, 0)
    found = [results.number(it) for it in numbers]
    assert found == ["0.08", "0.25", "1.80", "24.0", "200", "5,912", "0"]
