"""Whether clients were closed at an even pace."""

AHEAD, BEHIND = 0.15, 0.2
"""How much more or less of the clients than the pace asks for may be closed at any moment: a busy
machine is late with some, perhaps with the first."""
LATE = 5
"""Seconds after the window in which the last is closed."""


def assert_even(closed_at: list[float], window: float) -> None:
    """At each moment of the window, its share of the clients is closed; instants in seconds."""
    instants = sorted(closed_at)
    first, held = instants[0], len(instants)
    for number, at in enumerate(instants):
        due = min(1.0, (at - first) / window)
        # This one has just been closed, and was not, a moment before.
        assert (number + 1) / held - due <= AHEAD, f"{number + 1} of {held} after {at - first} s"
        assert due - number / held <= BEHIND, f"{number} of {held} after {at - first} s"
    assert window * 0.9 <= instants[-1] - first <= window + LATE
