"""``tessy new-plugin NAME``: a plugin package of one's own, begun with an example that works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new-plugin")(new_plugin)


def new_plugin(
    name: Annotated[
        str,
        typer.Argument(
            help="What users will write: letters, digits, '-'.", metavar="NAME", show_default=False
        ),
    ],
    kind: Annotated[
        Literal["policy", "detector", "backend"], typer.Option(help="What it is.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A new folder; default: the package's name.", show_default=False),
    ] = None,
    package: Annotated[
        str | None, typer.Option(help="The package's name; default: tessy-NAME.", show_default=False)
    ] = None,
) -> None:
    """Begin a plugin package: it installs, and its tests pass.

    It holds a small working example with options, and tests that inherit the
    suite for its kind.
    """
    from shlex import quote

    from tessy.plugins import Registry
    from tessy.scaffold import Blueprint, write

    blueprint = Blueprint.of(name, kind, package, Registry.discover().entries())
    folder = output or Path(blueprint.package)
    files = write(blueprint, folder)
    typer.echo(f"{folder}: package {blueprint.package} with {kind} {name!r}, {len(files)} files\n")
    typer.echo(
        f"  cd {quote(str(folder))}\n"
        "  pip install -e '.[dev]'\n"
        "  pytest\n"
        f"  tessy plugins {name}\n\n"
        f"Then make {blueprint.module}/{kind}.py yours."
    )
