"""``tessy score``: how on-policy runs are for a student, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.cli.flags import JsonFlag

if TYPE_CHECKING:
    from rich.console import Console

    from tessy.plugins import Registry
    from tessy.rundata import RunData
    from tessy.scoring import Scored

__all__ = ["register"]

_SOME_FAILED = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score")(score)


def score(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories, or folders of them.", show_default=False)
    ],
    student: Annotated[
        str,
        typer.Option(help="Who rates: NAME:MODEL[@URL][?KEY=VALUE&...].", metavar="SPEC", show_default=False),
    ],
    limit: Annotated[
        int | None,
        typer.Option("-n", "--limit", help="At most so many rows of each run.", min=1, show_default=False),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            help="Rows at once; default: what the backend serves well, at most 16.",
            min=1,
            show_default=False,
        ),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Replace scores by another student.")] = False,
    resamples: Annotated[
        int, typer.Option(help="Drawn for the 95 % intervals; 0: no intervals.", min=0)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of the drawing.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Rate finished rows with the student: how likely it finds them, by author, kind and phase.

    Figures of each row go to scores.jsonl in the run directory. Rows that have scores are not rated again.
    Exit code 3: some rows could not be rated.
    """
    from rich.console import Console

    from tessy.cli.interrupts import run as run_loop
    from tessy.metrics.bootstrap import estimates
    from tessy.plugins import Registry
    from tessy.rundata import expand

    found = expand(runs)
    settings: dict[str, Any] = {"limit": limit, "concurrency": concurrency, "anew": anew}
    registry, log = Registry.discover(), Console(stderr=True)
    scored, identity = run_loop(lambda: _score(found, student, settings, registry, log))
    figures = [estimates(one.rows, resamples=resamples, seed=seed) for one in scored]
    if json:
        import orjson

        print(
            orjson.dumps(
                {
                    "scorer": identity,
                    "runs": [
                        {
                            "run": str(one.run.folder),
                            "rows": len(one.rows),
                            "rated": one.fresh,
                            "failed": one.failed,
                            "figures": these,
                        }
                        for one, these in zip(scored, figures, strict=True)
                    ],
                }
            ).decode()
        )
    if any(one.failed for one in scored):
        raise typer.Exit(_SOME_FAILED)


async def _score(
    runs: Sequence[RunData], student: str, settings: dict[str, Any], registry: Registry, log: Console
) -> tuple[list[Scored], dict[str, Any]]:
    from tessy.scoring import score_run, started_scorer

    async with started_scorer(student, registry) as scorer:
        return [await score_run(run, scorer, **settings) for run in runs], dict(scorer.identity)
