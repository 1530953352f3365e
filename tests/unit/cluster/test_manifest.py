"""YAML that every reader takes for the same object."""

from typing import Any

import pytest
import yaml

from wsdeploy.cluster.manifest import text

VALUES: list[Any] = [
    "", "a", "A-b_c", "/srv/ws", "1", "1.5", "1e3", "0o17", "0x1f", "0b1", "12:30:45", "1_000",
    "~", "null", "Null", "true", "TRUE", "yes", "No", "on", "OFF", "y", "N", "=", "<<", "-", "- a",
    "a: b", "a:", "a #b", "# a", "#a", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a`", "'a'", '"a"',
    "\\n", "[a]", "{a}", "{}", "[]", ".inf", ".nan", "2026-11-30", "a\nb\n", "a\nb", "a\n\nb\n",
    "a\n\n", "\na\n", " a\nb\n", " a", "a ", "\t", "a\tb\n", "é", "日本", "\u2028", "\x00", "\x7f",
    "\x85", "\U0001f600", "\ufeff", "0", "-1", "+1", "1.", ".5", "inf", "a/b:c",
    "http://a-company.com:80/b?c=d", "a: |\n  b\n\nc\n",
    0, -1, 1.5, True, False, None, [], {}, [1, "a", [2, {"b": [3]}], {}], {"a": {"b": {"c": []}}},
    [{"a": 1, "b": {"c": "d\ne\n"}}, "f\ng\n"],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    for given in ({"key": value}, {"key": [value]}, {"key": {"inner": value}, "last": "end"}):
        assert yaml.safe_load(text(given)) == given


@pytest.mark.parametrize("key", [v for v in VALUES if isinstance(v, str) and v != "<<"], ids=repr)
def test_so_does_a_key(key: str) -> None:
    assert yaml.safe_load(text({key: {key: "value"}})) == {key: {key: "value"}}


def test_numbers_in_strings_have_quotes_for_readers_of_yaml_1_2() -> None:
    # PyYAML reads 1e3 without quotes as a string, and Kubernetes as a number.
    assert text({"a": "1e3", "b": "0o17"}) == 'a: "1e3"\nb: "0o17"\n'


def test_texts_of_several_lines_can_be_read() -> None:
    assert text({"a": {"b": "c\n\n  d\n"}}) == "a:\n  b: |\n    c\n\n      d\n"
