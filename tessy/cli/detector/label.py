"""``tessy detector label``: the style spans of texts, in colour or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.cli.detector.flags import Author, AuthorFlag
from tessy.cli.flags import DetectorFlag

if TYPE_CHECKING:
    from rich.text import Text

    from tessy.labelling.segments import Span, TextRow

__all__ = ["register"]

_STYLE = "bold dark_orange underline"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("label")(label)


def label(
    text: Annotated[
        str | None, typer.Argument(help="A text, in place of a file.", metavar="[TEXT]", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="JSONL of rows with 'id' and 'text'; -: standard input.", show_default=False),
    ] = None,
    detector: DetectorFlag = None,
    author: AuthorFlag = None,
    json: Annotated[
        bool, typer.Option("--json", help='Print {"id", "spans": [[start, end], ...]} for each row.')
    ] = False,
) -> None:
    """Show which parts of texts are style, as they would come out of a stream.

    Offsets are in characters. The output has the order of the rows.
    """
    from tessy.cli.interrupts import run as run_loop
    from tessy.errors import ConfigError
    from tessy.labelling.segments import TextRow, read_rows

    if (text is None) == (data is None):
        raise ConfigError("give either a text or a file of rows with --data")
    rows = []
    if text is not None:
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ConfigError("the text is not UTF-8; give it in a file, as JSON")
        rows = [TextRow(id="text", text=text)]
    if data is not None:
        rows = [row for _, row in read_rows(data, TextRow)]
    run_loop(lambda: _label(rows, detector, author, json, named=data is not None))


async def _label(
    rows: Sequence[TextRow], spec: str | None, author: Author | None, json: bool, *, named: bool
) -> None:
    import orjson
    from rich.console import Console

    from tessy.cli.clean import clean
    from tessy.labelling.streaming import detecting, label_texts
    from tessy.plugins import Registry

    console = Console()
    texts = [(row.text, author or _author(row)) for row in rows]
    async with detecting(spec, Registry.discover()) as detection:
        numbered = iter(rows)
        async for spans in label_texts(detection, texts):
            row = next(numbered)
            if json:
                line: dict[str, Any] = {"id": row.id, "spans": spans}
                print(orjson.dumps(line).decode())
                continue
            if named:
                console.print(clean(str(row.id)), style="bold", markup=False, highlight=False)
            console.print(_coloured(row.text, spans), soft_wrap=True)


def _author(row: TextRow) -> str:
    return row.author if row.author in tuple(Author) else Author.teacher


def _coloured(text: str, spans: Sequence[Span]) -> Text:
    from rich.text import Text

    from tessy.cli.clean import clean

    shown, at = Text(), 0
    for start, end in spans:
        shown.append(clean(text[at:start]))
        shown.append(clean(text[start:end]), _STYLE)
        at = end
    shown.append(clean(text[at:]) + "\n")
    return shown
