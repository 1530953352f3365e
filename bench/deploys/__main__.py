"""Both parts, one after the other; the hosts go at the end.

python -m bench.deploys [--quick]
"""

import sys

from bench.deploys import redeploy, storm
from bench.traffic import tracking
from bench.traffic.host import down


def main(quick: bool) -> None:
    """Measure everything, and write the results."""
    try:
        redeploy.main(quick)
        storm.main(quick)
    finally:
        down()
        tracking.on()


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
