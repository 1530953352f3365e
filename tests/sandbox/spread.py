"""Whether clients were closed at an even pace."""

PARTS = 5
TOLERANCE = 0.2
"""Of a part's fair share."""


def assert_even(closed_at: list[float], window: float) -> None:
    """Every fifth of the window closes a fifth of the clients. Instants and window in seconds."""
    first, held = min(closed_at), len(closed_at)
    parts = [int((at - first) / window * PARTS) for at in closed_at]
    counts = [parts.count(part) for part in range(PARTS)]
    fair = held / PARTS
    # A few come after the end of the last part, as the processes do not begin all at once.
    assert sum(counts) >= held * 0.95, counts
    assert all(abs(count - fair) <= TOLERANCE * fair for count in counts), counts
