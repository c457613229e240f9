"""What ``tessy export`` says while it works and at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tessy.cli.clean import clean

if TYPE_CHECKING:
    from tessy.export import Exported
    from tessy.rundata import RunData

__all__ = ["show", "working"]


@contextmanager
def working(runs: Sequence[RunData]) -> Iterator[Callable[[int], None]]:
    """Say which runs still go on, and count rows on a terminal."""
    for run in runs:
        if run.going:
            print(
                clean(f"tessy: {run.folder}: is still being written; what has ended by now is read"),
                file=sys.stderr,
            )
    if not sys.stderr.isatty():
        yield lambda rows: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading …") as status:
        yield lambda rows: status.update(f"{rows:,} rows read …")


def show(output: Path, found: Exported, *, as_json: bool, address: str | None) -> None:
    """Print the figures."""
    import orjson

    if as_json:
        figures = {
            "output": str(output),
            "records": found.counts,
            "prompts": found.prompts,
            "tokens": dict(found.tokens),
            "switches": found.switches,
            "finish": dict(found.finishes),
            "dropped": dict(found.dropped),
            "address": address,
        }
        print(orjson.dumps(figures, option=orjson.OPT_INDENT_2).decode())
        return
    parts = ", ".join(f"{count:,} {part}" for part, count in found.counts.items())
    print(clean(f"{output}: {parts}"))
    for reason, count in found.dropped.most_common():
        print(clean(f"  left out: {count:,} {reason}"))
    if address is not None:
        print(clean(f"uploaded: {address}"))
