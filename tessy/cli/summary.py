"""The table of numbers after a run, computed from the journal: it covers earlier processes too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tessy.cli.progress import duration
from tessy.dataset import DATA, FAILURES
from tessy.directory import JOURNAL
from tessy.execution import Outcome
from tessy.journal import Store

__all__ = ["print_summary", "summary"]


def summary(outcome: Outcome, elapsed: float) -> dict[str, Any]:
    """What ``tessy run --json`` prints."""
    store = Store(outcome.folder / JOURNAL, write=False)
    try:
        usage = store.totals()
        switches = store.switches()
        reasons = store.reasons()
    finally:
        store.close()
    return {
        "folder": str(outcome.folder),
        "rows": {"total": outcome.total, "done": outcome.done, "failed": outcome.failed},
        "failures": reasons,
        "usage": usage,
        "switches": switches,
        "seconds": round(elapsed, 3),
        "data": str(outcome.folder / DATA),
    }


def print_summary(console: Console, figures: dict[str, Any]) -> None:
    """The same for people."""
    rows, folder = figures["rows"], Path(figures["folder"])
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("", "kept", "share", "generated", "discarded", "prompt", "cached", "requests"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    turns = [row for row in figures["usage"] if row["purpose"] == "turn"]
    kept = sum(row["kept"] for row in turns) or 1
    for row in figures["usage"]:
        name = row["role"] if row["purpose"] == "turn" else f"{row['role']} ({row['purpose']})"
        table.add_row(
            name,
            f"{row['kept']:,}",
            f"{row['kept'] / kept:.1%}" if row["purpose"] == "turn" else "",
            f"{row['generated']:,}",
            f"{row['discarded']:,}",
            f"{row['prompt'] - row['cached']:,}",
            f"{row['cached']:,}",
            f"{row['requests']:,}",
        )
    console.print()
    console.print(
        f"{rows['done']:,} of {rows['total']:,} rows done, {rows['failed']:,} failed, "
        f"{figures['switches']:,} switches, {duration(figures['seconds'])}",
        highlight=False,
    )
    for reason, count in figures["failures"].items():
        console.print(f"  failed: {reason} ({count:,})", highlight=False, markup=False)
    console.print(
        "tokens, as the engines counted them (prompt: decoded as context, without what was cached)",
        style="dim",
    )
    console.print(table)
    console.print(f"data      {folder / DATA}", highlight=False, markup=False, soft_wrap=True)
    if rows["failed"]:
        console.print(f"failures  {folder / FAILURES}", highlight=False, markup=False, soft_wrap=True)
