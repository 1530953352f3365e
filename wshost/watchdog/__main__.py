"""Run the watchdog of a service: python3 -m wshost.watchdog NAME."""

import sys

from wshost.watchdog.service import main

if __name__ == "__main__":
    main(sys.argv[1:])
