"""Scores as a table for people: a column a run, a line a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tessy.cli.clean import clean
from tessy.metrics.bootstrap import Estimate
from tessy.scoring import Scored

__all__ = ["print_scores"]

_WIDTH = 120
"""Of tables in a file or a pipe."""
_GROUPS = {
    "style": "_style",
    "capability": "_capability",
    "thinking": "_think",
    "answer": "_answer",
}


class _Line(NamedTuple):
    title: str
    figure: str | None = None


def print_scores(
    console: Console,
    scored: Sequence[Scored],
    found: Sequence[Mapping[str, Estimate]],
    references: Sequence[Scored],
) -> None:
    """The table, and below it what its figures mean."""
    if not console.is_terminal:
        console.width = max(_WIDTH, 40 + 18 * len(scored))
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("± half of the 95 % interval", justify="left", no_wrap=True)
    for name in _names(scored):
        table.add_column(Text(clean(name)), justify="right", overflow="fold")
    table.add_row("policy", *(Text(clean(", ".join(sorted(one.policies)))) for one in scored))
    table.add_row("rows", *(f"{len(one.rows):,}" for one in scored))
    for line in _lines(found, bool(references)):
        if line.figure is None:
            table.add_row(Text(line.title, "bold"))
        else:
            table.add_row(f"  {line.title}", *(_cell(these.get(line.figure)) for these in found))
    console.print(table)


def _lines(found: Sequence[Mapping[str, Estimate]], compared: bool) -> Iterator[_Line]:
    names = {name for these in found for name in these}
    known = set(_GROUPS.values())
    authors = sorted(
        ending
        for name in names
        if name.startswith("nll_") and (ending := name.removeprefix("nll")) not in known
    )
    groups = {"all": "", **{f"by the {ending[1:]}": ending for ending in authors}, **_GROUPS}
    for title, figure in (("NLL of a token, nats", "nll"), ("perplexity", "perplexity")):
        yield _Line(title)
        yield from (_Line(group, figure + ending) for group, ending in groups.items())
    takers = sorted(name.removeprefix("handover_to_") for name in names if name.startswith("handover_to_"))
    yield _Line("NLL of first tokens, nats")
    for to in takers:
        yield _Line(f"handed over to the {to}", f"handover_to_{to}")
        yield _Line("  tokens around", f"handover_around_to_{to}")
    for kind in ("style", "capability"):
        yield _Line(f"{kind} begins", f"onset_{kind}")
        yield _Line("  tokens around", f"onset_around_{kind}")
    yield _Line("fit")
    yield _Line("rank-surprisal ratio", "rank_surprisal")
    yield _Line("GRAPE", "grape")
    if compared:
        yield _Line("similarity to the reference", "similarity")
        yield _Line("style divergence from it, bits", "style_divergence")


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "n/a"
    digits = 3 if estimate.value < 100 else 0
    value = f"{estimate.value:,.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ± {(estimate.high - estimate.low) / 2:,.{digits}f}"


def _names(scored: Sequence[Scored]) -> list[str]:
    """The folders' names; whole paths where two have one name."""
    names = [one.run.name for one in scored]
    return names if len(set(names)) == len(names) else [str(one.run.folder) for one in scored]
