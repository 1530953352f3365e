"""Whether clients were closed at an even pace."""

AHEAD, BEHIND = 0.15, 0.2
"""How much more or less of the clients than the pace asks for may be closed at any moment: a busy
machine is late with some, perhaps with the first."""
LATE = 5
"""Seconds after the window in which the last is closed."""


FEW = 0.1
"""Share of the clients, at most, that a deployment moves first, to see how they are borne."""
PAUSE = 2
"""Seconds at least for which it then looks on."""


def without_the_first(closed_at: list[float]) -> list[float]:
    """Return the instants of those who were closed after the look at the first few, if any."""
    instants = sorted(closed_at)
    for number in range(1, int(len(instants) * FEW) + 1):
        if instants[number] - instants[number - 1] >= PAUSE:
            return instants[number:]
    return instants


def assert_even(closed_at: list[float], window: float) -> None:
    """At each moment of the window, its share of the clients is closed; instants in seconds."""
    instants = without_the_first(closed_at)
    first, held = instants[0], len(instants)
    for number, at in enumerate(instants):
        due = min(1.0, (at - first) / window)
        # This one has just been closed, and was not, a moment before.
        assert (number + 1) / held - due <= AHEAD, f"{number + 1} of {held} after {at - first} s"
        assert due - number / held <= BEHIND, f"{number} of {held} after {at - first} s"
    assert window * 0.9 <= instants[-1] - first <= window + LATE
