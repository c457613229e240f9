"""``tessy score``: how on-policy runs are for a student, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.cli.flags import DetectorFlag, JsonFlag, RunsArgument

if TYPE_CHECKING:
    from rich.console import Console

    from tessy.plugins import Registry
    from tessy.rundata import RunData
    from tessy.scoring import Scored

__all__ = ["register"]

_SOME_FAILED = 3
_SHOWN = 3
"""Rows that could not be rated, of which the reason is told."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score")(score)


def score(
    runs: RunsArgument,
    student: Annotated[
        str,
        typer.Option(help="Who rates: NAME:MODEL[@URL][?KEY=VALUE&...].", metavar="SPEC", show_default=False),
    ],
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help="A run that the student wrote alone, over the same prompts. Repeatable.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    detector: DetectorFlag = None,
    recorded_kinds: Annotated[
        bool, typer.Option("--recorded-kinds", help="Style is what the rows call it; no detector.")
    ] = False,
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
    anew: Annotated[
        bool, typer.Option("--anew", help="Replace scores by another student or detector.")
    ] = False,
    any_tokenizer: Annotated[
        bool, typer.Option("--any-tokenizer", help="Score for a student that is not the run's.")
    ] = False,
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
    from tessy.errors import ConfigError
    from tessy.plugins import Registry
    from tessy.rundata import expand
    from tessy.scoring import check_rows, figures

    if recorded_kinds and detector is not None:
        raise ConfigError("give either --detector or --recorded-kinds, not both")
    named = expand(runs)
    own = {run.folder.resolve() for run in named}
    others = [run for run in expand(reference or ()) if run.folder.resolve() not in own]
    for run in (*named, *others):
        check_rows(run)
    known = {run.folder.resolve() for run in expand(reference or ())}
    rater = {"detector": detector, "recorded_kinds": recorded_kinds}
    settings = {"limit": limit, "concurrency": concurrency, "anew": anew}
    registry, log = Registry.discover(), Console(stderr=True)
    task = _Task(student, rater, settings, any_tokenizer, registry, log)
    scored, identity = run_loop(lambda: _score([*named, *others], known, task))
    references = [one for one in scored if one.run.folder.resolve() in known]
    shown = scored[: len(named)]
    found = [figures(one, references, resamples=resamples, seed=seed) for one in shown]
    if json:
        import orjson

        print(orjson.dumps(_as_json(shown, found, identity)).decode())
    else:
        from tessy.cli.scores_table import print_scores

        print_scores(Console(), shown, found, references)
    _say_failed(log, scored)
    if any(one.failed for one in scored):
        raise typer.Exit(_SOME_FAILED)


class _Task:
    """What is to be done, apart from to which runs."""

    def __init__(
        self,
        student: str,
        rater: dict[str, Any],
        settings: dict[str, Any],
        any_tokenizer: bool,
        registry: Registry,
        log: Console,
    ) -> None:
        self.student = student
        self.rater = rater
        self.settings = settings
        self.any_tokenizer = any_tokenizer
        self.registry = registry
        self.log = log


async def _score(
    runs: Sequence[RunData], known: set[Path], task: _Task
) -> tuple[list[Scored], dict[str, Any]]:
    """Score all runs, those in ``known`` being references too; who scored."""
    from tessy.cli.scores_progress import telling
    from tessy.scoring import compare, score_run, started_scorer

    async with started_scorer(task.student, task.registry, **task.rater) as scorer:
        if not task.any_tokenizer:
            for run in runs:
                scorer.check_tokenizer(run)
        with telling(task.log) as told:
            scored = [await score_run(run, scorer, told=told, **task.settings) for run in runs]
        if known:
            compare(scored, [one for one in scored if one.run.folder.resolve() in known])
            for one in scored:
                one.publish(scorer, references=sorted(path.name for path in known))
        return scored, dict(scorer.identity)


def _as_json(shown: Sequence[Scored], found: Sequence[Any], identity: dict[str, Any]) -> dict[str, Any]:
    return {
        "scorer": identity,
        "runs": [
            {
                "run": str(one.run.folder),
                "policies": sorted(one.policies),
                "rows": len(one.rows),
                "rated": one.fresh,
                "failed": one.failed,
                "going": one.run.going,
                "figures": figures,
            }
            for one, figures in zip(shown, found, strict=True)
        ],
    }


def _say_failed(log: Console, scored: Sequence[Scored]) -> None:
    from tessy.cli.clean import clean

    def say(line: str) -> None:
        log.print(clean(line), highlight=False, markup=False, soft_wrap=True)

    for one in scored:
        if one.failed:
            say(f"{one.run.folder}: {len(one.failed):,} rows could not be rated; the next call tries again")
            for id, why in list(one.failed.items())[:_SHOWN]:
                say(f"  {id}: {why}")
        if one.run.going:
            say(f"{one.run.folder}: is still going; the rows that had ended by now are scored")
