"""``tessy export RUN…``: finished rows as training data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tessy.cli.flags import RunsArgument

__all__ = ["register"]


class _Format(StrEnum):
    messages = "messages"
    sharegpt = "sharegpt"
    prompt_completion = "prompt-completion"
    tessy_paper = "tessy-paper"
    parquet = "parquet"
    hf = "hf"


class _Reasoning(StrEnum):
    inline = "inline"
    field = "field"


class _Dedup(StrEnum):
    none = "none"
    exact = "exact"
    text = "text"
    prompt = "prompt"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    runs: RunsArgument,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="A folder, or a file FILE.jsonl or FILE.parquet.", show_default=False
        ),
    ],
    format: Annotated[_Format, typer.Option("--format", help="Of the records.")] = _Format.messages,
    reasoning: Annotated[
        _Reasoning, typer.Option(help="The thinking in the message, or in a field of its own.")
    ] = _Reasoning.inline,
    reasoning_field: Annotated[
        str, typer.Option(metavar="NAME", help="That field; some templates read 'thinking'.")
    ] = "reasoning_content",
    template: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The student's chat template (model folder, hub id, file, built-in name): records are held "
            "against it; prompt-completion is rendered with it.",
        ),
    ] = None,
    finish: Annotated[
        list[str] | None, typer.Option(metavar="HOW", help="Only rows that ended so. Repeatable.")
    ] = None,
    min_length: Annotated[int | None, typer.Option(help="Fewest tokens of a trace.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Most tokens of a trace.")] = None,
    min_switches: Annotated[int | None, typer.Option(help="Fewest changes of author.")] = None,
    max_switches: Annotated[int | None, typer.Option(help="Most changes of author.")] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(metavar="BOUND", help="NAME<=NUMBER, by 'tessy score'; also >=, <, >. Repeatable."),
    ] = None,
    dedup: Annotated[
        _Dedup, typer.Option(help="Leave out repeated rows: the same text, or one row a prompt.")
    ] = _Dedup.none,
    split: Annotated[float, typer.Option(metavar="SHARE", help="Share of the prompts for validation.")] = 0.0,
    loss_mask: Annotated[
        list[str] | None,
        typer.Option(metavar="WHOSE", help="author=student, kind=style, …: what is learnt. Repeatable."),
    ] = None,
    metadata: Annotated[
        bool, typer.Option("--metadata", help="Keep tessy's column, spans included.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what stands at -o.")] = False,
    push: Annotated[
        str | None, typer.Option(metavar="ORG/NAME", help="Upload to the hub, private if it is new.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: a new data set is public.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Turn finished rows into training data: formats, filters, split, loss mask.

    A folder gets train.jsonl (and validation.jsonl) and a data-set card. The same rows and settings give the
    same bytes.
    """
    from tessy.cli.exported import show, working
    from tessy.errors import ConfigError
    from tessy.export import Settings
    from tessy.export import export as write
    from tessy.export.outputs import is_file
    from tessy.export.push import check_repo
    from tessy.export.push import push as upload
    from tessy.export.settings import Mask, Threshold
    from tessy.rundata import expand

    settings = Settings(
        format=format.value,
        reasoning=reasoning.value,
        reasoning_field=reasoning_field,
        template=template,
        finish=tuple(finish or ()),
        min_length=min_length,
        max_length=max_length,
        min_switches=min_switches,
        max_switches=max_switches,
        scores=tuple(map(Threshold.parse, score or ())),
        dedup=dedup.value,
        split=split,
        masks=tuple(map(Mask.parse, loss_mask or ())),
        metadata=metadata,
        overwrite=overwrite,
    )
    if push is not None:
        check_repo(push)
        if is_file(output):
            raise ConfigError(f"--push uploads a folder with its card; {output} is one file")
    named = expand(runs)
    with working(named) as progress:
        found = write(named, output, settings, progress)
    address = upload(output, push, public=public) if push is not None else None
    show(output, found, as_json=as_json, address=address)
