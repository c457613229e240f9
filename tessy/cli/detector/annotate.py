"""``tessy detector annotate``: a model marks the style in segments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.cli.flags import ConcurrencyFlag, JsonFlag

if TYPE_CHECKING:
    from rich.console import Console

    from tessy.labelling import Segment
    from tessy.labelling.annotating import Annotation, Annotator
    from tessy.labelling.store import AnnotationStore

__all__ = ["register"]

_CONCURRENCY = 16


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("annotate")(annotate)


def annotate(
    segments: Annotated[Path, typer.Argument(help="Rows with 'id' and 'text' (JSONL).", show_default=False)],
    annotator: Annotated[
        str,
        typer.Option(help="The model that marks: NAME:MODEL[@URL][?KEY=VALUE&...].", metavar="SPEC"),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Default: labelled.jsonl beside the segments.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", help="At most so many segments.", min=1, show_default=False)
    ] = None,
    attempts: Annotated[int, typer.Option(help="Answers to a segment until one can be used.", min=1)] = 2,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient", help="Leave out a span that does not stand in the text, not the whole segment."
        ),
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask again for what was dropped before.")] = False,
    max_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.", min=16)] = 2048,
    concurrency: ConcurrencyFlag = None,
    seed: Annotated[int, typer.Option(help="The answers' seed.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Let a model mark the style in segments; what cannot be used is dropped.

    Goes on where it was stopped. What was dropped stands beside the output, with the reason.
    """
    from rich.console import Console

    from tessy.cli.interrupts import run as run_loop
    from tessy.config import Maker
    from tessy.errors import ConfigError
    from tessy.labelling.annotating import Annotator
    from tessy.labelling.segments import Row, Segment, read_rows
    from tessy.labelling.store import AnnotationStore
    from tessy.plugins import Registry
    from tessy.spec import Spec

    rows = [row for _, row in read_rows(segments, Row)]
    wanted = [
        Segment(row.key, row.text, family=row.family, model=row.model, author=row.author) for row in rows
    ]
    registry, spec = Registry.discover(), Spec.parse("backend", annotator)
    backend = Maker(registry).backend("backend annotator", spec)
    model = Annotator(backend, registry.origin("backend", spec.name), seed, attempts, lenient, max_tokens)
    path = output or segments.with_name("labelled.jsonl")
    if path.exists() and path.samefile(segments):
        raise ConfigError(f"{path}: holds the segments themselves; choose another -o")
    with AnnotationStore(path, wanted, again=again) as store:
        state = run_loop(lambda: _annotate(model, wanted[:limit], store, concurrency, Console(stderr=True)))
    _print(state, path, Console(), json)


async def _annotate(
    model: Annotator,
    segments: Sequence[Segment],
    store: AnnotationStore,
    concurrency: int | None,
    log: Console,
) -> Annotation:
    from contextlib import nullcontext

    from tessy.boundary import plugin
    from tessy.labelling.annotating import annotate

    def progress(state: Annotation) -> None:
        if status is not None:
            status.update(f"{state.done:,} of {state.total:,} segments, {state.keep_rate:.1%} kept")

    with log.status("…") if log.is_terminal else nullcontext() as status:
        try:
            with plugin(model.origin, "start"):
                await model.backend.start()
            at_once = concurrency or model.backend.capabilities.max_active or _CONCURRENCY
            return await annotate(model, segments, store, concurrency=at_once, progress=progress)
        finally:
            with plugin(model.origin, "close"):
                await model.backend.close()


def _print(state: Annotation, path: Path, console: Console, json: bool) -> None:
    if json:
        import orjson

        figures: dict[str, Any] = {
            "segments": state.total,
            "kept": state.kept,
            "keep_rate": round(state.keep_rate, 4),
            "dropped": dict(state.dropped),
            "spans_left_out": state.left_out,
            "tokens": {"prompt": state.usage.prompt, "generated": state.usage.generated},
            "file": str(path),
        }
        print(orjson.dumps(figures).decode())
        return
    from tessy.labelling.store import dropped_path

    lines = [f"kept      {state.kept:,} of {state.total:,} segments ({state.keep_rate:.1%})"]
    lines += [f"  dropped: {reason} ({count:,})" for reason, count in state.dropped.most_common()]
    if state.left_out:
        lines.append(f"  spans left out: {state.left_out:,}")
    lines.append(f"tokens    {state.usage.prompt:,} prompt, {state.usage.generated:,} generated")
    if state.dropped:
        lines.append(f"dropped   {dropped_path(path)}")
    if state.kept:
        lines.append(f"next      tessy detector train {path} -o FOLDER")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
