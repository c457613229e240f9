"""``tessy detector train``: labelled segments become a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tessy.builtin import ARCHITECTURES, DEFAULT_ARCHITECTURE
from tessy.cli.detector.flags import Author, SegmentsArgument
from tessy.cli.flags import JsonFlag

__all__ = ["register"]


def _for(setting: str, text: str) -> str:
    """What a flag does, and for which architectures."""
    names = [name for name, one in ARCHITECTURES.items() if setting in one.settings]
    return f"{', '.join(names)}: {text}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    segments: SegmentsArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A new folder for the detector.", show_default=False)
    ],
    architecture: Annotated[
        str, typer.Option(help="The built-in one, or the paper's.", metavar="|".join(ARCHITECTURES))
    ] = DEFAULT_ARCHITECTURE,
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
            help="What to start from. "
            + " ".join(f"{name}: {one.base}." for name, one in ARCHITECTURES.items()),
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help=_for("batch", "segments a step; default: 32."), min=1, show_default=False),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help=_for("learning_rate", "default: 1e-5."), min=0, show_default=False),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            help=_for("max_length", "tokens of a segment; default: 512."), min=2, show_default=False
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help=_for("device", "cpu, cuda; default: a GPU if any."), show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Train a detector on labelled segments (needs the extra 'train').

    The folder goes to --detector NAME:FOLDER, NAME being the detector that the command names at its end.
    """
    from rich.console import Console

    from tessy.labelling import read_segments
    from tessy.labelling.learning import by_author, split
    from tessy.labelling.training import Recipe
    from tessy.labelling.training import train as run

    own = {"batch": batch, "learning_rate": learning_rate, "max_length": max_length, "device": device}
    settings: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if epochs is not None:
        settings["epochs"] = epochs
    if base is not None:
        settings["base"] = None if base == "none" else base
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
    spec = f"{ARCHITECTURES[architecture].detector}:{output}"
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
