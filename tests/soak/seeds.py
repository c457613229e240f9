"""Ten thousand simulated seeds: ``python tests/soak/seeds.py [--seeds N] [--first N] [--processes N]``.

Prints how many a second, what happened in them, and those that broke an invariant.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.__main__ import main

if __name__ == "__main__":
    sys.exit(main(10_000))
