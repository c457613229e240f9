"""Prints spans as they are committed: an observer for a run of one trajectory at a time."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tessy.cli.clean import clean
from tessy.cli.progress import AUTHOR_STYLES
from tessy.journal import Failure
from tessy.stats import Stats
from tessy.types import Span

__all__ = ["LiveTrace"]


class LiveTrace(Stats):
    """Writes each span in its author's colour, and a line of figures behind each trace."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._phase: str | None = None

    def admitted(self, row: str) -> None:
        super().admitted(row)
        self._phase = None
        self._console.print(Text(f"\n{clean(row.rpartition('#')[0])}", "bold"))

    def committed(self, row: str, span: Span) -> None:
        super().committed(row, span)
        if self._phase == "think" and span.phase == "answer":
            self._console.print(Text("\n" + "─" * 12, "dim"))
        self._phase = span.phase
        style = AUTHOR_STYLES.get(span.author, "magenta")
        self._console.print(Text(clean(span.text), style), end="", soft_wrap=True)

    def finished(self, row: str) -> None:
        super().finished(row)
        self._end()

    def failed(self, row: str, failure: Failure) -> None:
        super().failed(row, failure)
        self._console.print(Text(f"\n[{failure.reason}] {clean(failure.message)}", "red"), end="")
        self._end()

    def _end(self) -> None:
        kept = ", ".join(f"{role} {self.kept[role]:,}" for role in AUTHOR_STYLES)
        self._console.print(
            Text(
                f"\n\ntokens so far: {kept}; {self.switches:,} switches, "
                f"{self.discarded_share:.1%} discarded; for 1,000 kept {self.discarded_per_thousand:,.0f} "
                f"discarded and {self.requests_per_thousand:,.1f} requests",
                "dim",
            )
        )
