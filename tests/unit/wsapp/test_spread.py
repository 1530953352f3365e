from itertools import pairwise

import pytest

from wsapp.drain import spread


@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_one_instant_in_each_equal_part(count: int) -> None:
    window = 30.0
    instants = spread(count, window)
    assert [int(instant / window * count) for instant in instants] == list(range(count))


def test_instants_are_not_evenly_spaced() -> None:
    instants = spread(100, 10.0)
    gaps = [later - earlier for earlier, later in pairwise(instants)]
    assert max(gaps) - min(gaps) > 0.05
    assert spread(100, 10.0) != instants


def test_no_window() -> None:
    assert spread(3, 0) == [0, 0, 0]
