"""All parts, one after the other; the hosts go at the end."""

from bench.clients import proof
from bench.traffic import handshakes, held, levels, memory, messages, part
from bench.traffic.host import SUITES, down


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure everything, and write the results."""
    proof.main(quick)
    try:
        for module in (messages, levels, handshakes, held, memory):
            module.main(quick, proxies)
    finally:
        down()


if __name__ == "__main__":
    part.run(main)
