"""Run the watch for a machine's end: python3 -m wshost.leaving CONFIGURATION."""

import sys

from wshost.leaving.service import main

if __name__ == "__main__":
    main(sys.argv[1:])
