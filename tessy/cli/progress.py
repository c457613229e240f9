"""Shows a run as it goes: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tessy.cli.clean import clean

if TYPE_CHECKING:
    from tessy.budget import Meter
    from tessy.stats import Stats

__all__ = ["AUTHOR_STYLES", "duration", "shown"]

AUTHOR_STYLES = {"teacher": "bold dark_orange", "student": "bold dodger_blue1"}
"""Told apart also with colour blindness; elsewhere names stand beside the colours."""

_PLAIN_EVERY = 10.0


@asynccontextmanager
async def shown(
    stats: Stats, console: Console, title: str = "tessy", meter: Meter | None = None
) -> AsyncIterator[None]:
    """Show ``stats`` and what is spent while the body runs, under a title where there is a panel."""
    live = console.is_terminal and not console.is_dumb_terminal
    task = asyncio.create_task(_live(stats, console, title, meter) if live else _plain(stats, console, meter))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _live(stats: Stats, console: Console, title: str, meter: Meter | None) -> None:
    def render() -> Panel:
        return panel(stats, title, meter)

    with Live(console=console, refresh_per_second=4, transient=True, get_renderable=render):
        await asyncio.Event().wait()


async def _plain(stats: Stats, console: Console, meter: Meter | None) -> None:
    while True:
        await asyncio.sleep(_PLAIN_EVERY)
        console.print(line(stats, meter), highlight=False, markup=False, soft_wrap=True)


def line(stats: Stats, meter: Meter | None = None) -> str:
    """The state of the run in one line of plain text."""
    speed = stats.speed()
    left = stats.seconds_left
    spent = "" if meter is None or not meter.budgeted else f" spent {meter.shown}"
    return (
        f"rows {stats.done + stats.failures}/{stats.total} failed {stats.failures} "
        f"active {stats.active}{_paused(stats)} "
        f"teacher {speed.get('teacher', 0):.0f} tok/s student {speed.get('student', 0):.0f} tok/s "
        f"teacher share {stats.teacher_share:.1%} switches {stats.switches} "
        f"discarded {stats.discarded_share:.1%} ({stats.discarded_per_thousand:.0f} and "
        f"{stats.requests_per_thousand:.1f} requests per 1000 kept) "
        f"left {duration(left) if left is not None else '?'}{spent}"
    )


def panel(stats: Stats, title: str = "tessy", meter: Meter | None = None) -> Panel:
    """The state of the run as a panel."""
    speed = stats.speed()
    left = stats.seconds_left
    ended = stats.done + stats.failures
    table = Table.grid(padding=(0, 2))
    table.add_row("rows", f"{ended:,} of {stats.total:,}", "active", f"{stats.active:,}{_paused(stats)}")
    table.add_row("failed", _reasons(stats), "time left", duration(left) if left is not None else "…")
    for role, style in AUTHOR_STYLES.items():
        table.add_row(
            Text(role, style),
            f"{speed.get(role, 0):,.0f} tokens/s",
            "kept",
            f"{stats.kept[role]:,} tokens",
        )
    table.add_row("teacher share", f"{stats.teacher_share:.1%}", "switches", f"{stats.switches:,}")
    table.add_row("discarded", f"{stats.discarded_share:.1%}", "elapsed", duration(stats.elapsed))
    table.add_row(
        "per 1,000 kept",
        f"{stats.discarded_per_thousand:,.0f} discarded",
        "requests",
        f"{stats.requests_per_thousand:,.1f}",
    )
    # A cell of its own: the bar ends no line, and what followed it would stand behind it, cut off.
    bar = Table.grid(expand=True)
    bar.add_row(ProgressBar(total=max(1, stats.total), completed=ended))
    parts: list[RenderableType] = [bar, table]
    if meter is not None and meter.budgeted:
        parts.append(Text(f"spent  {meter.shown}"))
    return Panel(Group(*parts), title=Text(title), expand=False, border_style="dim")


def duration(seconds: float) -> str:
    """A time span as people write it."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _paused(stats: Stats) -> str:
    """How many of the active ones wait for KV memory; nothing where none does."""
    return f" ({stats.waiting:,} paused)" if stats.waiting else ""


def _reasons(stats: Stats) -> Text:
    if not stats.failures:
        return Text("0")
    reasons = ", ".join(f"{clean(reason)} {count}" for reason, count in stats.reasons.most_common(3))
    return Text(f"{stats.failures:,} ({reasons})" if reasons else f"{stats.failures:,}", "red")
