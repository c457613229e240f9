"""How fast and in how much memory `tessy export` writes JSON lines, each setting in a process of its own.

``python bench_export.py [--rows N …] [--tokens N]``. Speed is that of the output and of ``data.jsonl`` read;
memory is the most that the process held, beside that of an export of a tenth of the rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from large_run import write

CASES: dict[str, list[str]] = {
    "messages": [],
    "messages, metadata kept": ["--metadata"],
    "messages, loss mask": ["--loss-mask", "author=student"],
    "field, exact duplicates, split": ["--reasoning", "field", "--dedup", "exact", "--split", "0.05"],
    "text of qwen3": ["--format", "prompt-completion", "--template", "qwen3"],
}
_RUN = """
import resource, sys, time
from unittest.mock import patch
import tessy.export
from tessy.cli import main
began = time.perf_counter()
with patch.object(sys, "argv", ["tessy", *sys.argv[1:]]):
    try:
        main()
    except SystemExit as error:
        assert not error.code, error
seconds = time.perf_counter() - began
print("FIGURES", seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measure(run: Path, out: Path, flags: list[str]) -> tuple[float, float, int]:
    """Seconds, MiB held at most, bytes written."""
    found = subprocess.run(
        [sys.executable, "-c", _RUN, "export", str(run), "-o", str(out), *flags],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    _, seconds, memory = next(line for line in found.stdout.splitlines() if "FIGURES" in line).split()
    return float(seconds), float(memory), sum(path.stat().st_size for path in out.glob("*.jsonl"))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=15_000)
    args = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        run = write(folder / "run", args.rows, args.tokens)
        small = write(folder / "small", max(1, args.rows // 10), args.tokens)
        read = (run / "data.jsonl").stat().st_size / 1e6
        print(f"{args.rows:,} rows of {args.tokens:,} tokens, {read:,.0f} MB of data.jsonl")
        print("| what | output, MB/s | input, MB/s | MiB | MiB with a tenth of the rows |")
        print("|---|---:|---:|---:|---:|")
        for n, (case, flags) in enumerate(CASES.items()):
            _, least, _ = measure(small, folder / f"small-{n}", flags)
            seconds, memory, written = measure(run, folder / f"out-{n}", flags)
            print(
                f"| {case} | {written / 1e6 / seconds:.0f} | {read / seconds:.0f} "
                f"| {memory:.0f} | {least:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
