"""``tessy plugins [NAME]``: what is installed, what is wrong with it, which options it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from tessy.options import OptionInfo
    from tessy.plugins import Entry, Registry

__all__ = ["register"]

_STYLES = {"ok": "green", "disabled": "dim", "broken": "red", "incompatible": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plugins")(plugins)


def plugins(
    name: Annotated[
        str | None, typer.Argument(help="Show this one with its options.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """List backends, detectors and policies, or one with its options."""
    from tessy.plugins import Registry

    registry = Registry.discover()
    for warning in registry.warnings:
        typer.echo(f"tessy: {warning}", err=True)
    entries = registry.entries()
    if name is not None:
        _show(registry, _named(name, entries), as_json)
    elif as_json:
        _print_json([_row(entry) for entry in entries])
    else:
        _table(entries)


def _named(name: str, entries: list[Entry]) -> list[Entry]:
    """Plugins of that name, or what there is to say about a package or entry point of that name."""
    from difflib import get_close_matches

    from tessy.errors import PluginNotFound

    found = [entry for entry in entries if entry.name == name]
    found = found or [entry for entry in entries if entry.package == name]
    if not found:
        names = sorted({entry.name for entry in entries})
        near = get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PluginNotFound(f"no plugin {name!r}{hint}\ninstalled: {', '.join(names)}")
    return found


def _show(registry: Registry, entries: list[Entry], as_json: bool) -> None:
    from tessy.errors import TessyError
    from tessy.options import describe

    rows: list[dict[str, Any]] = []
    for entry in entries:
        row = _row(entry)
        options: list[OptionInfo] = []
        if entry.kind is not None and entry.status == "ok":
            try:
                options = describe(registry.load(entry.kind, entry.name))
            except TessyError as error:
                row |= {"status": "broken", "reason": str(error)}
        rows.append({**row, "options": [option.as_json() for option in options]})
        if not as_json:
            _one(row, options)
    if as_json:
        _print_json(rows)


def _one(row: dict[str, Any], options: list[OptionInfo]) -> None:
    from rich.console import Console

    console = Console()
    console.print(_text(f"{row['kind'] or 'package'} {row['name']}", "bold"), _text(row["summary"]))
    status = _text(row["status"], _STYLES[row["status"]])
    console.print(_text(f"{row['package']} {row['version']}", "dim"), status)
    if row["reason"]:
        console.print(_text(row["reason"]))
    if options:
        table = _columns("option", "type", "default", "what it does")
        for option in options:
            default = "required" if option.required else _default(option.default)
            values = f"{option.type}, {option.limits}" if option.limits else option.type
            table.add_row(_text(option.name, "bold"), _text(values), _text(default), _text(option.help))
        console.print(table)
    elif row["status"] == "ok":
        console.print(_text("no options", "dim"))
    console.print()


def _table(entries: list[Entry]) -> None:
    from rich.console import Console

    table = _columns("kind", "name", "package", "status", "")
    for entry in entries:
        table.add_row(
            _text(entry.kind or "–"),
            _text(entry.name, "bold"),
            _text(f"{entry.package} {entry.version}"),
            _text(entry.status, _STYLES[entry.status]),
            _text(entry.reason or entry.summary),
        )
    Console().print(table)


def _columns(*names: str) -> Table:
    from rich.table import Table

    return Table(*names, box=None, pad_edge=False, header_style="dim")


def _text(text: str, style: str = "") -> Text:
    """What a package says about itself, as text and nothing but text."""
    from rich.text import Text

    from tessy.cli.clean import clean

    return Text(clean(text), style)


def _default(value: Any) -> str:
    import json

    if value is None:
        return "none"
    return value if isinstance(value, str) and value else json.dumps(value)


def _row(entry: Entry) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(entry)


def _print_json(rows: list[dict[str, Any]]) -> None:
    import json

    typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
