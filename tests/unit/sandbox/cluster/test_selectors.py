"""Which objects a request means."""

import pytest

from wsdeploy_sandbox.cluster.selectors import matches_fields, matches_labels, selects

LABELS = {"app.kubernetes.io/name": "ws", "tier": "app"}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("", True),
        ("tier=app", True),
        ("tier==app,app.kubernetes.io/name=ws", True),
        ("tier!=app", False),
        ("other!=app", True),
        ("tier in (app, proxy)", True),
        ("tier notin (app)", False),
        ("tier", True),
        ("!tier", False),
        ("!other,tier=app", True),
    ],
)
def test_labels(selector: str, fits: bool) -> None:
    assert matches_labels(selector, LABELS) is fits


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="unable to parse requirement"):
        matches_labels("tier in app", LABELS)


def test_fields() -> None:
    value = {"metadata": {"name": "ws"}, "status": {"phase": "Running"}}
    assert matches_fields("metadata.name=ws,status.phase!=Pending", value)
    assert not matches_fields("metadata.name=other", value)


def test_a_service_without_a_selector_has_no_pods() -> None:
    assert selects(LABELS, {"tier": "app"})
    assert not selects(LABELS, {"tier": "proxy"})
    assert not selects(LABELS, {})
