"""``python -m tessy.workers DESCRIPTOR``: a worker process; the run's own process starts it."""

from __future__ import annotations

import sys

from tessy.workers.child import main

if __name__ == "__main__":
    main(int(sys.argv[1]))
