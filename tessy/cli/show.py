"""``tessy show RUN [ID]`` and ``tessy diff RUN RUN [ID]``: finished traces in colour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tessy.rundata import Row, RunData

__all__ = ["register"]

_Pager = Annotated[bool, typer.Option("--pager/--no-pager", help="On a terminal, in your pager.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("show")(show)
    app.command("diff")(diff)


def show(
    run: Annotated[Path, typer.Argument(help="A run directory.", show_default=False)],
    id: Annotated[str | None, typer.Argument(help="The row; default: the first.", show_default=False)] = None,
    pager: _Pager = True,
) -> None:
    """Show one finished trace, both authors in colour."""
    from rich.console import Console

    from tessy.cli.trace import paged, show_row
    from tessy.rundata import RunData

    row = _find(RunData(run), id)
    console = Console()
    with paged(console, pager):
        show_row(console, row)


def diff(
    one: Annotated[Path, typer.Argument(metavar="RUN_A", help="A run directory.", show_default=False)],
    two: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another one.", show_default=False)],
    id: Annotated[
        str | None, typer.Argument(help="The row; default: the first that both have.", show_default=False)
    ] = None,
    pager: _Pager = True,
) -> None:
    """Show what two runs wrote for the same prompt, one beside the other where there is room."""
    from rich.columns import Columns
    from rich.console import Console, Group
    from rich.panel import Panel
    from rich.text import Text

    from tessy.cli.trace import clean, coloured, figures, legend, paged
    from tessy.errors import ConfigError
    from tessy.rundata import RunData

    runs = [RunData(one), RunData(two)]
    if id is None:
        ids = {row.id for row in runs[1].rows(check=False)}
        id = next((row.id for row in runs[0].rows(check=False) if row.id in ids), None)
        if id is None:
            raise ConfigError(f"{one}, {two}: no finished row is in both")
    rows = [_find(run, id) for run in runs]
    if rows[0].messages[:-1] != rows[1].messages[:-1]:
        raise ConfigError(f"row {id!r} answers another prompt in {two} than in {one}")
    console = Console()
    # Side by side takes two columns that can be read; else one stands below the other.
    width = console.width // 2 - 1 if console.width >= 120 else console.width
    panels = [
        Panel(
            Group(coloured(row.data), Text(clean(figures(row)), "dim")),
            title=Text(clean(str(run.folder))),
            title_align="left",
            width=width,
        )
        for run, row in zip(runs, rows, strict=True)
    ]
    with paged(console, pager):
        console.print(clean(id), style="bold", markup=False, highlight=False)
        for message in rows[0].messages[:-1]:
            console.print(clean(f"{message['role']}: {message['content']}"), markup=False, highlight=False)
        console.print(legend())
        console.print(Columns(panels, padding=(0, 1)))


def _find(run: RunData, id: str | None) -> Row:
    from tessy.dataset import DATA, FAILURES
    from tessy.errors import ConfigError

    for row in run.rows(check=False):
        if id is None or row.id == id:
            return row
    wanted = f"with id {id!r}" if id else "yet"
    raise ConfigError(f"{run.folder / DATA}: no finished row {wanted}; those that failed are in {FAILURES}")
