"""How fast and in how much memory `tessy export` writes JSON lines, each setting in a process of its own.

``python bench_export.py [--rows N …] [--tokens N]``. Speed is that of the output and of ``data.jsonl`` read;
memory is the most that the process held, beside that of an export of a tenth of the rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from commands import measured
from large_run import write

CASES: dict[str, list[str]] = {
    "messages": [],
    "messages, metadata kept": ["--metadata"],
    "messages, loss mask": ["--loss-mask", "author=student"],
    "field, exact duplicates, split": ["--reasoning", "field", "--dedup", "exact", "--split", "0.05"],
    "text of qwen3": ["--format", "prompt-completion", "--template", "qwen3"],
}


def measure(run: Path, out: Path, flags: list[str]) -> tuple[float, float, int]:
    """Seconds, MiB held at most, bytes written."""
    seconds, memory = measured("export", run, "-o", out, *flags)
    return seconds, memory, sum(path.stat().st_size for path in out.glob("*.jsonl"))


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
