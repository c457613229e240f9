"""``tessy detector train``: labelled segments become a detector."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tessy.cli.detector.flags import Author, SegmentsArgument
from tessy.cli.flags import JsonFlag

__all__ = ["register"]


class Architecture(StrEnum):
    """What can be trained."""

    boundary = "boundary"
    token_classifier = "token-classifier"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    segments: SegmentsArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A new folder for the detector.", show_default=False)
    ],
    architecture: Annotated[
        Architecture, typer.Option(help="The built-in one, or the paper's.")
    ] = Architecture.boundary,
    dev: Annotated[
        Path | None,
        typer.Option(
            help="Labelled segments to validate on; default: a part of SEGMENTS.", show_default=False
        ),
    ] = None,
    validation: Annotated[
        float, typer.Option(help="Share of SEGMENTS for that, without --dev.", min=0, max=0.9)
    ] = 0.05,
    author: Annotated[
        Author | None, typer.Option(help="Train on this author's segments only.", show_default=False)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Default: the architecture's (paper: 3).", min=1, show_default=False)
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="What to start from. boundary: a trained folder, none: from nothing; default: the shipped "
            "weights. token-classifier: folder or hub id; default: Qwen/Qwen3-0.6B-Base.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="token-classifier: segments a step; default: 32.", min=1, show_default=False),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="token-classifier: default: 1e-5.", min=0, show_default=False),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(help="token-classifier: tokens of a segment; default: 512.", min=2, show_default=False),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="token-classifier: cpu, cuda; default: a GPU if any.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Train a detector on labelled segments (needs the extra 'train').

    The folder goes to --detector boundary:FOLDER, or hf-boundary:FOLDER for a token classifier.
    """
    from rich.console import Console

    from tessy.errors import ConfigError
    from tessy.labelling import read_segments
    from tessy.labelling.learning import by_author, split
    from tessy.labelling.training import DETECTORS, Recipe
    from tessy.labelling.training import train as run

    own = {"batch": batch, "learning_rate": learning_rate, "max_length": max_length, "device": device}
    settings: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if settings and architecture is Architecture.boundary:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in settings)
        raise ConfigError(f"{flags}: only for --architecture token-classifier")
    if epochs is not None:
        settings["epochs"] = epochs
    if base is not None:
        settings["base"] = _base(architecture, base)
    learn = by_author(read_segments(segments), author)
    if dev is not None:
        held = by_author(read_segments(dev), author)
    else:
        learn, held = split(learn, validation, seed)
    log = Console(stderr=True)
    figures = run(
        Recipe(architecture, settings, seed),
        learn,
        output,
        dev=held,
        log=lambda line: log.print(line, highlight=False, markup=False, soft_wrap=True),
    )
    spec = f"{DETECTORS[architecture]}:{output}"
    if json:
        import orjson

        head = {"segments": len(learn), "validation": len(held), "detector": spec}
        print(orjson.dumps({**head, **figures}, default=str).decode())
        return
    console = Console()
    console.print(f"trained on {len(learn):,} segments, validated on {len(held):,}", highlight=False)
    console.print(
        f"next      tessy detector eval --data FILE --detector {spec}", markup=False, soft_wrap=True
    )


def _base(architecture: Architecture, base: str) -> str | Path | None:
    if architecture is Architecture.token_classifier:
        return base
    return None if base == "none" else Path(base)
