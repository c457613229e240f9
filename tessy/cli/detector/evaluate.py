"""``tessy detector eval``: how good detectors are on labelled segments, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.builtin import ARCHITECTURES, DEFAULT_ARCHITECTURE, DEFAULT_DETECTOR
from tessy.cli.detector.flags import AuthorFlag, DetectorsFlag
from tessy.cli.flags import JsonFlag

if TYPE_CHECKING:
    from rich.console import Console

    from tessy.labelling import Segment
    from tessy.labelling.evaluation import Evaluation
    from tessy.plugins import Registry

__all__ = ["register"]

_WIDTH = 120
"""Of tables in a file or a pipe."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval")(evaluate)


def evaluate(
    data: Annotated[
        list[Path], typer.Option(help="Labelled segments (JSONL). Repeatable.", show_default=False)
    ],
    detector: DetectorsFlag = None,
    author: AuthorFlag = None,
    examples: Annotated[int, typer.Option(help="Show so many of the most frequent confusions.", min=0)] = 0,
    curve: Annotated[
        Path | None,
        typer.Option(
            help="Train the built-in architecture on growing parts of this file.",
            metavar="SEGMENTS",
            show_default=False,
        ),
    ] = None,
    points: Annotated[int, typer.Option(help="How many parts, each half of the next.", min=2)] = 4,
    epochs: Annotated[
        int | None, typer.Option(help="Of each training for --curve.", min=1, show_default=False)
    ] = None,
    resamples: Annotated[
        int, typer.Option(help="Drawn for the 95 % intervals; 0: no intervals.", min=0)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of the drawing.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Measure detectors: style words, boundaries, and how far off cuts would be.

    Figures come with 95 % bootstrap intervals over segments, in all and by family of models.
    """
    from dataclasses import asdict

    from rich.console import Console

    from tessy.cli.interrupts import run as run_loop
    from tessy.labelling import read_segments
    from tessy.plugins import Registry

    sets = {str(path): read_segments(path) for path in data}
    specs = list(dict.fromkeys(detector or [DEFAULT_DETECTOR]))
    settings = {"author": author, "examples": examples, "resamples": resamples, "seed": seed}
    registry, log = Registry.discover(), Console(stderr=True)
    found = run_loop(lambda: _evaluate(sets, specs, settings, registry))
    grown: list[dict[str, Any]] = []
    if curve is not None:
        parts = _Parts(read_segments(curve), points, epochs, seed)
        grown = _curve(sets, parts, settings, registry, log)
    if json:
        import orjson

        rows = [{"data": name, "detector": spec, **asdict(one)} for name, spec, one in found]
        print(orjson.dumps({"evaluations": rows, "curve": grown}).decode())
        return
    from tessy.cli.detector.tables import print_curve, print_evaluations

    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    print_evaluations(console, found)
    if grown:
        print_curve(console, grown)


async def _evaluate(
    sets: dict[str, list[Segment]], specs: Sequence[str], settings: dict[str, Any], registry: Registry
) -> list[tuple[str, str, Evaluation]]:
    """Every detector on every set, by set."""
    from tessy.labelling.evaluation import evaluate
    from tessy.labelling.streaming import detecting

    found: dict[tuple[str, str], Evaluation] = {}
    for spec in specs:
        async with detecting(spec, registry) as detection:
            for name, segments in sets.items():
                found[name, spec] = await evaluate(detection, segments, **settings)
    return [(name, spec, found[name, spec]) for name in sets for spec in specs]


class _Parts:
    """What a learning curve is made from."""

    def __init__(self, segments: list[Segment], points: int, epochs: int | None, seed: int) -> None:
        self.segments = segments
        self.points = points
        # From nothing: the shipped weights may have seen the segments.
        self.settings: dict[str, Any] = {"base": None, **({} if epochs is None else {"epochs": epochs})}
        self.seed = seed


def _curve(
    sets: dict[str, list[Segment]], parts: _Parts, settings: dict[str, Any], registry: Registry, log: Console
) -> list[dict[str, Any]]:
    """Figures after training on each part."""
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from tessy.cli.interrupts import run as run_loop
    from tessy.labelling.learning import nested, split
    from tessy.labelling.training import Recipe, train

    rows: list[dict[str, Any]] = []
    recipe = Recipe(DEFAULT_ARCHITECTURE, parts.settings, parts.seed)
    detector = ARCHITECTURES[DEFAULT_ARCHITECTURE].detector
    learn, held = split(parts.segments, 0.05, parts.seed)
    for part in nested(learn, parts.points, parts.seed):
        log.print(f"training on {len(part):,} segments", highlight=False, markup=False)
        with TemporaryDirectory(prefix="tessy-curve-") as folder:
            train(recipe, part, Path(folder) / "detector", dev=held)
            spec = f"{detector}:{folder}/detector"
            found = run_loop(lambda spec=spec: _evaluate(sets, [spec], settings, registry))  # type: ignore[misc]
        rows += [
            {"segments": len(part), "data": name, "figures": {k: asdict(v) for k, v in one.figures.items()}}
            for name, _, one in found
        ]
    return rows
