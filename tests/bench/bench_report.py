"""How long `tessy report` takes over a long run, in how much memory, how soon it is shown.

``python bench_report.py [--rows N] [--tokens N]``. The run has a journal too: by default 11 million spans,
some gigabytes on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from commands import measured
from large_run import write, write_journal

sys.path.insert(0, str(Path(__file__).parents[1]))
from report.browser import CHROMIUM, opened


async def shown(page: Path, profile: Path) -> tuple[float, float]:
    """Seconds until all is drawn; the longest pause while the list is scrolled to its end."""
    async with opened(profile) as tab:
        await tab.size(1280, 900)
        began = time.perf_counter()
        await tab.open(page)
        seconds = time.perf_counter() - began
        pause = await tab.js(
            "new Promise(done => { let worst = 0, n = 0, last;"
            " const list = document.getElementById('list');"
            " const step = now => { if (last) worst = Math.max(worst, now - last); last = now;"
            " list.scrollTop = list.scrollHeight * ++n / 60;"
            " n < 60 ? requestAnimationFrame(step) : done(worst) };"
            " requestAnimationFrame(step) })"
        )
        return seconds, pause / 1000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=15_000)
    args = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        run = write(folder / "run", args.rows, args.tokens)
        write_journal(run)
        sizes = [(run / file).stat().st_size / 1e6 for file in ("data.jsonl", "journal.sqlite")]
        print(
            f"{args.rows:,} rows of {args.tokens:,} tokens: {sizes[0]:,.0f} and {sizes[1]:,.0f} MB",
            flush=True,
        )
        page = folder / "report.html"
        seconds, memory = measured("report", run, "-o", page)
        print(f"written in {seconds:.1f} s, {memory:.0f} MiB, {page.stat().st_size / 1e6:.1f} MB")
        if CHROMIUM is not None:
            opens, pause = asyncio.run(shown(page, folder / "profile"))
            print(f"shown in {opens:.2f} s; scrolling {args.rows:,} rows pauses {pause:.3f} s at most")


if __name__ == "__main__":
    main()
