"""Evaluations as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tessy.cli.clean import clean
from tessy.labelling.evaluation import CutErrors, Evaluation, Figure

__all__ = ["print_curve", "print_evaluations"]

_COLUMNS = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "boundary_f1": "boundaries",
    "boundary_f1_1": "±1 word",
}
_OWNERS = {"style": "the student's", "capability": "the teacher's"}
"""Whose span ends with a stretch of style, of capability."""

_Found = Sequence[tuple[str, str, Evaluation]]


def print_evaluations(console: Console, found: _Found) -> None:
    """For each set of segments: figures in all and by family, cuts, and confusions if there are any."""
    for name in dict.fromkeys(name for name, _, _ in found):
        ours = [(spec, one) for other, spec, one in found if other == name]
        first = ours[0][1]
        _say(console, f"{name}: {first.segments:,} segments, {first.words:,} words", "bold")
        _figures(console, ours)
        _cuts(console, ours)
        for spec, one in ours:
            if one.confusions:
                _say(console, f"{spec}: what it gets wrong most")
            _confusions(console, one)
            _say(console, f"{spec}: {one.words_per_second:,.0f} words a second", "dim")
        _say(console, "")


def print_curve(console: Console, rows: Iterable[Mapping[str, Any]]) -> None:
    """The learning curve."""
    table = _table("segments", "data", *_COLUMNS.values())
    for row in rows:
        figures = {name: Figure(**row["figures"][name]) for name in _COLUMNS}
        data = Text(clean(PurePath(row["data"]).name))
        table.add_row(f"{row['segments']:,}", data, *map(_share, figures.values()))
    _say(console, "the built-in architecture, trained from nothing", "bold")
    console.print(table)


def _figures(console: Console, ours: Sequence[tuple[str, Evaluation]]) -> None:
    table = _table("percent, ± half of the 95 % interval", "detector", *_COLUMNS.values())
    for spec, one in ours:
        table.add_row("all", Text(clean(spec)), *(_share(one.figures[name]) for name in _COLUMNS))
    for family, number in ours[0][1].family_segments.items():
        for spec, one in ours:
            cells = (_share(one.families[family][name]) for name in _COLUMNS)
            table.add_row(Text(clean(f"{family} ({number:,})")), Text(clean(spec)), *cells)
    console.print(table)


def _cuts(console: Console, ours: Sequence[tuple[str, Evaluation]]) -> None:
    table = _table(
        "where spans end",
        "detector",
        "exact",
        "too early",
        "too late",
        "mean, in characters",
        "5 … 95 % of cuts",
    )
    for kind, owner in _OWNERS.items():
        for spec, one in ours:
            table.add_row(owner, Text(clean(spec)), *_cut(one.cuts[kind]))
    console.print(table)


def _cut(cut: CutErrors) -> list[str]:
    low, high = cut.percentiles["5"], cut.percentiles["95"]
    return [
        f"{cut.exact:.1%}",
        f"{cut.early:.1%}",
        f"{cut.late:.1%}",
        f"-{cut.mean_early:.1f} / +{cut.mean_late:.1f}",
        f"{low:+d} … {high:+d}",
    ]


def _confusions(console: Console, one: Evaluation) -> None:
    for found in one.confusions:
        said = "style, missed" if found.style else "called style"
        line = Text(f"  {found.count:>4} × {said}: …", "dim")
        line.append(_flat(found.left), "not dim")
        line.append(_flat(found.text), "bold dark_orange" if found.style else "bold dodger_blue1")
        line.append(_flat(found.right), "not dim")
        line.append(f"…  {clean(found.id)}")
        console.print(line, soft_wrap=True)


def _flat(text: str) -> str:
    return clean(text).replace("\n", "↵")


def _share(figure: Figure) -> str:
    value, half = 100 * figure.value, 50 * (figure.high - figure.low)
    return f"{value:.1f}" if figure.low == figure.high else f"{value:.1f} ± {half:.1f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < 2 else "right", overflow="fold")
    return table


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(clean(line), style), soft_wrap=True)
