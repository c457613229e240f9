"""From run directories to one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.budget import Price
from tessy.config.model import ALL_ROLES
from tessy.directory import JOURNAL
from tessy.errors import ConfigError
from tessy.report.page import write_page
from tessy.report.queries import QUERIES, figures
from tessy.report.reading import LENGTHS, POSITIONS, Read, read
from tessy.report.words import compare, frequent
from tessy.rundata import RunData
from tessy.scoring.published import FILE, read_scores

__all__ = ["Reported", "report"]

_FAILURES = 100
"""Failures that are shown with their text, over all runs of a page."""
_TEXT = 20_000
"""Characters of a failure's text."""


@dataclass(frozen=True)
class Reported:
    """What a page holds: finished rows in its table, rows and failures with their text, its bytes."""

    rows: int
    texts: int
    failures: int
    size: int


def report(
    runs: Sequence[RunData],
    target: Path,
    *,
    prices: Mapping[str, Price] | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Reported:
    """Write the page.

    The same runs give the same bytes. Takes the memory of the rows' numbers and of the few texts that are
    shown or compared.

    Args:
        runs: which; side by side if there are several.
        target: the file.
        prices: of a million tokens, by role; else those of the run's own settings.
        progress: told the number of rows read, now and then.

    Raises:
        ConfigError: the file cannot be written, or no run has a finished or a failed row.
        DataError: a row does not add up.
    """
    share = 1 / len(runs)
    reads = [read(run, share=share, progress=progress) for run in runs]
    shown = [_run(one, prices, max(1, int(_FAILURES * share))) for one in reads]
    if not any(run["table"]["id"] or run["failures"] for run in shown):
        names = ", ".join(str(run.folder) for run in runs)
        raise ConfigError(f"{names}: no row has ended yet; there is nothing to report")
    data = {
        "runs": shown,
        "compared": compare(reads),
        "lengths": list(LENGTHS),
        "positions": POSITIONS,
        "queries": [{"name": q.name, "says": q.says, "sql": q.sql} for q in QUERIES],
    }
    size = write_page(target, data)
    return Reported(
        sum(len(run["table"]["id"]) for run in shown),
        sum(len(run["texts"]) for run in shown),
        sum(len(run["failures"]) for run in shown),
        size,
    )


def _run(one: Read, prices: Mapping[str, Price] | None, failures: int) -> dict[str, Any]:
    run = one.run
    settings = run.settings()
    found = _figures(one)
    return {
        "name": run.name,
        "folder": str(run.folder),
        "going": run.going,
        "settings": settings,
        "figures": found,
        "cost": _cost(found, prices if prices else _own_prices(settings)),
        "table": one.table,
        "lengths": one.lengths,
        "positions": [dict(part) for part in one.positions],
        "texts": one.texts,
        "failures": [_failure(row) for row, _ in zip(run.failures(), range(failures), strict=False)],
        "frequent": frequent(one),
        "scores": _scores(run, one),
    }


def _figures(one: Read) -> dict[str, Any] | None:
    """The journal's, and the sums over rows; ``None`` where the journal is not there any more."""
    if not (one.run.folder / JOURNAL).is_file():
        return None
    store = one.run.journal()
    try:
        found = dict(figures(store))
    finally:
        store.close()
    ways = Counter(one.table["finish"])
    found["tokens"] = [
        {"author": author, "phase": phase, "tokens": tokens, "characters": characters}
        for (author, phase), (tokens, characters) in sorted(one.sums.items())
    ]
    found["switches"] = [{"switches": sum(one.table["switches"])}]
    found["finish"] = [
        {"finish": way, "rows": ways[way]} for way in sorted(ways, key=lambda way: (-ways[way], way))
    ]
    return found


def _own_prices(settings: Mapping[str, Any]) -> dict[str, Price]:
    stated = settings.get("prices")
    if not isinstance(stated, dict):
        return {}
    return {
        role: Price.of(price["input"], price["output"], price.get("cached"))
        for role, price in stated.items()
        if isinstance(price, dict)
    }


def _cost(found: Mapping[str, Any] | None, prices: Mapping[str, Price]) -> float | None:
    if found is None or not prices:
        return None
    of_all = prices.get(ALL_ROLES)
    cost = 0.0
    for use in found["usage"]:
        if (price := prices.get(use["role"], of_all)) is not None:
            cost += price.cost(use["prompt"], use["cached"], use["generated"])
    return round(cost, 6)


def _failure(row: Mapping[str, Any]) -> dict[str, Any]:
    partial = row.get("partial", {})
    return {
        "id": row["id"],
        "prompt": row["messages"],
        "reason": row["error"]["reason"],
        "message": row["error"]["message"],
        "thinking": partial.get("thinking", "")[-_TEXT:],
        "answer": partial.get("answer", "")[-_TEXT:],
    }


def _scores(run: RunData, one: Read) -> dict[str, Any] | None:
    """What ``tessy score`` found, in the order of the table."""
    if not (run.folder / FILE).is_file():
        return None
    header, lines = read_scores(run.folder)
    known = dict(lines)
    names = sorted({name for scores in known.values() for name in scores})
    return {
        "by": header,
        "names": names,
        "values": {name: [known.get(id, {}).get(name) for id in one.table["id"]] for name in names},
    }
