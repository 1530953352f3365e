"""When a process counts as hung, on a clock that only exists here."""

import dataclasses

import pytest

from wshost.common.listen import Listen
from wshost.watchdog.config import Liveness
from wshost.watchdog.pulse import Pulse

LIVENESS = Liveness(
    Listen.read("unix:/run"), "a", "/healthz", hang_timeout=3, start_timeout=30, stop_wait=48
)


@pytest.fixture
def pulse() -> Pulse:
    """A process that has answered at 0 and was asked then for the last time."""
    made = Pulse(LIVENESS, started=-100)
    made.record_sent(0)
    made.record_reply()
    return made


def verdict_at(pulse: Pulse, now: float, until: float) -> float | None:
    """When a process that never answers is found guilty, asked whenever it is due."""
    while now < until:
        if pulse.decide(now):
            return round(now, 3)
        if now >= pulse.due:
            pulse.record_sent(now)
        now = round(now + 0.1, 3)
    return None


def test_questions_are_a_fifth_of_the_time_apart(pulse: Pulse) -> None:
    assert pulse.due == pytest.approx(0.6)


def test_two_questions_and_never_later_than_the_time_out(pulse: Pulse) -> None:
    # The worst case: it hangs right after its answer at 0.
    assert verdict_at(pulse, 0.1, 10) == 3.0


@pytest.mark.parametrize("timeout", [1, 3, 60])
def test_the_bounds_for_every_time_out(timeout: int) -> None:
    pulse = Pulse(dataclasses.replace(LIVENESS, hang_timeout=timeout), started=-100)
    pulse.record_sent(0)
    pulse.record_reply()
    asked = pulse.due
    pulse.record_sent(asked)
    assert pulse.decide(asked + timeout) is None, "one miss"
    pulse.record_sent(pulse.due)
    assert pulse.due == pytest.approx(timeout)
    assert pulse.decide(pulse.due - 0.001) is None
    assert pulse.decide(pulse.due) is not None
    assert pulse.due - asked == pytest.approx(0.8 * timeout)


def test_the_reason_says_how_long(pulse: Pulse) -> None:
    pulse.record_sent(0.6)
    pulse.record_sent(1.8)
    assert pulse.decide(3.0) == "has not answered for 2.4 s"


def test_a_late_answer_to_the_first_question_clears_both(pulse: Pulse) -> None:
    pulse.record_sent(0.6)
    pulse.record_sent(1.8)
    pulse.record_reply()
    assert pulse.decide(3.0) is None
    assert verdict_at(pulse, 3.0, 5.3) is None


def test_what_is_forgiven_starts_anew(pulse: Pulse) -> None:
    pulse.record_sent(0.6)
    pulse.record_sent(1.8)
    pulse.reset()
    assert pulse.decide(3.0) is None
    assert verdict_at(pulse, 3.0, 10) == pytest.approx(5.4)


def test_what_is_postponed_has_so_much_more_time_and_no_more(pulse: Pulse) -> None:
    pulse.record_sent(0.6)
    pulse.record_sent(1.8)
    pulse.extend(0.7)
    assert pulse.decide(3.6) is None
    assert pulse.decide(3.7) is not None


def test_a_start_and_a_drain_are_postponed_too() -> None:
    starting, draining = Pulse(LIVENESS, started=0), Pulse(LIVENESS, started=-100)
    draining.record_sent(-1)
    draining.record_reply()
    for pulse, end in ((starting, 30), (draining, 48)):
        pulse.record_absent(0)
        pulse.extend(5)
        assert pulse.decide(end + 4.9) is None
        assert pulse.decide(end + 5) is not None


def test_never_during_start() -> None:
    pulse = Pulse(LIVENESS, started=0)
    assert verdict_at(pulse, 0, 100) == 30.0
    assert pulse.decide(30) == "has not answered once in the 30.0 s since its start"


def test_a_process_that_listens_nowhere_may_start_and_may_drain() -> None:
    starting, draining = Pulse(LIVENESS, started=0), Pulse(LIVENESS, started=-100)
    draining.record_sent(-1)
    draining.record_reply()
    for pulse, end in ((starting, 30), (draining, 48)):
        for now in range(end):
            pulse.record_absent(now)
            assert pulse.decide(now) is None
        assert pulse.decide(end) == f"has not listened for {end:.1f} s"


def test_it_is_asked_again_at_the_usual_interval_when_it_listens_nowhere(pulse: Pulse) -> None:
    pulse.record_absent(7)
    assert pulse.due == pytest.approx(7.6)
    pulse.record_sent(7.6)
    assert verdict_at(pulse, 7.7, 20) == pytest.approx(10.0), "it listens again, but says nothing"
