"""``tessy show RUN [ID]``: one finished trace in colour."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show)


def show(
    run: Annotated[Path, typer.Argument(help="A run directory.", show_default=False)],
    id: Annotated[str | None, typer.Argument(help="The row; default: the first.", show_default=False)] = None,
) -> None:
    """Show one finished trace, both authors in colour."""
    import orjson
    from rich.console import Console

    from tessy.cli.clean import clean
    from tessy.cli.trace import coloured, legend
    from tessy.dataset import DATA, FAILURES
    from tessy.errors import ConfigError

    path = run / DATA
    if not path.is_file():
        raise ConfigError(f"{run}: no {DATA} here; name a run directory, as given to 'tessy run -o'")
    with path.open("rb") as file:
        for line in file:
            row = orjson.loads(line)
            if id is None or row["id"] == id:
                break
        else:
            wanted = f"with id {id!r}" if id else "yet"
            raise ConfigError(f"{path}: no finished row {wanted}; those that failed are in {FAILURES}")
    console = Console()
    console.print(clean(str(row["id"])), style="bold", markup=False, highlight=False)
    for message in row["messages"][:-1]:
        console.print(clean(f"{message['role']}: {message['content']}"), markup=False, highlight=False)
    console.print(legend())
    console.print(coloured(row))
    tokens = row["tessy"]["tokens"]
    console.print(
        f"teacher {tokens['teacher']:,} tokens, student {tokens['student']:,}, "
        f"{row['tessy']['switches']:,} switches",
        style="dim",
        highlight=False,
    )
