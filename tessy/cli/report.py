"""``tessy report RUN…``: a page about runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tessy.cli.flags import RunsArgument

if TYPE_CHECKING:
    from tessy.budget import Price

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    runs: RunsArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page.")] = Path("report.html"),
    price: Annotated[
        list[str] | None,
        typer.Option(metavar="PRICE", help="Price of a million tokens, as for 'tessy run'. Repeatable."),
    ] = None,
) -> None:
    """Write one page with figures, traces and pictures of runs.

    It asks the network for nothing and can be sent as it is. Runs stand side by side: student-only,
    teacher-only and tessy on the same prompts show what the paper shows.
    """
    from tessy.cli.clean import clean
    from tessy.cli.exported import working
    from tessy.report import report as write
    from tessy.rundata import expand

    prices = _prices(price or [])
    named = expand(runs)
    with working(named) as progress:
        found = write(named, output, prices=prices, progress=progress)
    typer.echo(
        clean(
            f"{output}: {found.rows:,} rows, {found.texts:,} with their text, {found.failures:,} failures, "
            f"{found.size / 1e6:.1f} MB"
        )
    )


def _prices(texts: list[str]) -> dict[str, Price]:
    """Read as ``tessy run`` reads them."""
    from pydantic import ValidationError

    from tessy.config import RunConfig
    from tessy.errors import ConfigError

    try:
        return RunConfig.model_validate({"prices": texts}).prices
    except ValidationError as error:
        raise ConfigError(f"--price: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
