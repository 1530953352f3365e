"""All parts, one after the other; the hosts go at the end."""

from bench.clients import proof
from bench.traffic import handshakes, held, levels, memory, messages, part, profile, tracking
from bench.traffic.host import SUITES, down

# What needs perf comes last: not every machine allows it.
ALL = (messages.main, levels.main, handshakes.main, held.main, memory.main, profile.main)
QUICK = (messages.main, held.main, memory.main)


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure everything, and write the results."""
    proof.main(quick)
    try:
        for measure in QUICK if quick else ALL:
            measure(quick, proxies)
    finally:
        down()
        tracking.on()


if __name__ == "__main__":
    part.run(main)
