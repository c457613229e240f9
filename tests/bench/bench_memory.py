"""Memory of a trajectory in progress: ``python bench_memory.py [TOKENS] [COUNT]``.

The resident size of this process, before and after so many were built. Requests, tasks and connections are
not in it.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import test_spans


def resident() -> int:
    """Bytes of memory that this process has now."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


def main(tokens: int = 40_000, count: int = 50) -> None:
    """Print bytes for each, the same in multiples of its text, and what 2,000 would take."""
    rng = random.Random(0)
    test_spans.TOKENS = tokens
    test_spans.in_progress(rng, listed=True)
    before = resident()
    made = [test_spans.in_progress(rng, listed=True) for _ in range(count)]
    each = (resident() - before) / count
    text = sum(length for _, length in made) / count
    print(f"{tokens} tokens, {text / 1024:.0f} KiB of text: {each / 1024:.0f} KiB each")
    print(f"bound {64 + 3 * text / 1024:.0f} KiB; 2,000 in {(before + 2_000 * each) / (1 << 30):.2f} GiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
