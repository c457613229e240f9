"""The table of numbers after a run, computed from the journal: it covers earlier processes too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tessy.budget import Meter
from tessy.cli.clean import clean
from tessy.cli.progress import duration
from tessy.dataset import DATA, FAILURES
from tessy.directory import JOURNAL
from tessy.journal import Store
from tessy.plan import Outcome

__all__ = ["print_comparison", "print_summary", "summary"]


def summary(policy: str, outcome: Outcome, elapsed: float, meter: Meter) -> dict[str, Any]:
    """What ``tessy run --json`` prints. Budget and what is spent of it are those of the whole command."""
    store = Store(outcome.folder / JOURNAL, write=False)
    try:
        usage = store.totals()
        switches = store.switches()
        reasons = store.reasons()
    finally:
        store.close()
    return {
        "policy": policy,
        "folder": str(outcome.folder),
        "rows": {"total": outcome.total, "done": outcome.done, "failed": outcome.failed},
        "failures": reasons,
        "usage": usage,
        "per_thousand_kept": _per_thousand(usage),
        "switches": switches,
        "seconds": round(elapsed, 3),
        **meter.figures(),
        "stopped": outcome.stopped,
        "data": str(outcome.folder / DATA),
    }


def print_summary(console: Console, figures: dict[str, Any], policy: str | None = None) -> None:
    """The same for people; ``policy`` says whose figures they are where there are several."""
    rows, folder = figures["rows"], Path(figures["folder"])
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in ("", "kept", "share", "generated", "discarded", "prompt", "cached", "requests"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    turns = [row for row in figures["usage"] if row["purpose"] == "turn"]
    kept = sum(row["kept"] for row in turns) or 1
    for row in figures["usage"]:
        name = clean(row["role"]) if row["purpose"] == "turn" else clean(f"{row['role']} ({row['purpose']})")
        table.add_row(
            Text(name),
            f"{row['kept']:,}",
            f"{row['kept'] / kept:.1%}" if row["purpose"] == "turn" else "",
            f"{row['generated']:,}",
            f"{row['discarded']:,}",
            f"{row['prompt'] - row['cached']:,}",
            f"{row['cached']:,}",
            f"{row['requests']:,}",
        )
    console.print()
    whose = f"{policy}: " if policy else ""
    console.print(
        f"{whose}{rows['done']:,} of {rows['total']:,} rows done, {rows['failed']:,} failed, "
        f"{figures['switches']:,} switches, {duration(figures['seconds'])}",
        highlight=False,
    )
    for reason, count in figures["failures"].items():
        console.print(f"  failed: {clean(reason)} ({count:,})", highlight=False, markup=False)
    console.print(
        "tokens, as the engines counted them (prompt: decoded as context, without what was cached)",
        style="dim",
    )
    console.print(table)
    per = figures["per_thousand_kept"]
    console.print(
        f"for 1,000 tokens kept: {per['discarded']:,.0f} discarded, {per['requests']:,.1f} requests",
        highlight=False,
    )
    _print_estimated(console, figures["usage"])
    console.print(f"data      {folder / DATA}", highlight=False, markup=False, soft_wrap=True)
    if rows["failed"]:
        console.print(f"failures  {folder / FAILURES}", highlight=False, markup=False, soft_wrap=True)


def _per_thousand(usage: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What turns threw away and how many requests they took, for 1,000 tokens kept."""
    turns = [row for row in usage if row["purpose"] == "turn"]
    kept = sum(row["kept"] for row in turns)
    return {
        name: round(1000 * sum(row[name] for row in turns) / kept, 3) if kept else 0.0
        for name in ("discarded", "requests")
    }


def _print_estimated(console: Console, usage: Sequence[dict[str, Any]]) -> None:
    requests = sum(row["requests"] for row in usage)
    if estimated := sum(row["estimated"] for row in usage):
        console.print(
            f"prompt and cached are estimates for {estimated:,} of {requests:,} requests: an engine that is "
            "stopped in mid-stream does not tell",
            style="dim",
            highlight=False,
        )


def print_comparison(console: Console, figures: Sequence[dict[str, Any]]) -> None:
    """Several policies over the same prompts, a line each."""
    names = [Path(entry["folder"]).name for entry in figures]
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("policy", overflow="fold", min_width=min(40, max(map(len, names))))
    for name in ("done", "failed", "teacher", "student", "switches", "generated", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, entry in zip(names, figures, strict=True):
        kept = {row["role"]: row["kept"] for row in entry["usage"] if row["purpose"] == "turn"}
        table.add_row(
            Text(name),
            f"{entry['rows']['done']:,}",
            f"{entry['rows']['failed']:,}",
            f"{kept.get('teacher', 0):,}",
            f"{kept.get('student', 0):,}",
            f"{entry['switches']:,}",
            f"{sum(row['generated'] for row in entry['usage']):,}",
            duration(entry["seconds"]),
        )
    console.print()
    console.print("all policies: tokens kept by author, and all that was generated for them", style="dim")
    console.print(table)
