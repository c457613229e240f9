"""How far a scoring is: a line that is written over on a terminal, one every half minute elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from tessy.cli.clean import clean

if TYPE_CHECKING:
    from tessy.scoring import Scored

__all__ = ["telling"]

_PLAIN_EVERY = 30.0


@contextmanager
def telling(console: Console) -> Iterator[Callable[[Scored], None]]:
    """A function to be told of each row."""
    live = console.is_terminal and not console.is_dumb_terminal
    last = time.monotonic()
    with console.status("…") if live else nullcontext() as status:

        def told(scored: Scored) -> None:
            nonlocal last
            failed = f", {len(scored.failed):,} failed" if scored.failed else ""
            line = clean(f"{scored.run.name}: {scored.fresh:,} rows rated{failed}")
            if status is not None:
                status.update(escape(line))
            elif time.monotonic() - last >= _PLAIN_EVERY:
                last = time.monotonic()
                console.print(line, highlight=False, markup=False, soft_wrap=True)

        yield told
