"""The typer application. Importing it, and ``tessy --help``, imports no engine and no HTTP client.

A command is a module here with a function ``register(app)``; when imported it imports typer, rich and the
standard library only, the rest inside the command's function.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from tessy.cli.clean import CleanFormatter
from tessy.cli.errors import Debug, guarded

__all__ = ["create_app", "main"]


def create_app() -> typer.Typer:
    """The application with all its commands."""
    from tessy.cli import detector, doctor, export, new_plugin, plugins, preview, report, run, score, show

    app = typer.Typer(
        no_args_is_help=True,
        # Plain help: half the start-up time, and it can be pasted into the documentation.
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for command in (run, preview, show, score, report, export, doctor, detector, plugins, new_plugin):
        command.register(app)
    return app


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    # Detectors multiply small matrices: several threads only wait for each other. Before numpy comes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if isinstance(logging.lastResort, logging.Handler):
        logging.lastResort.setFormatter(CleanFormatter())  # warnings quote what servers say
    debug = Debug()
    command = typer.main.get_command(create_app())
    arguments = list(sys.argv[1:] if args is None else args)
    sys.exit(guarded(lambda: command(arguments, prog_name="tessy", obj=debug), debug))


def _show_version(wanted: bool) -> None:
    if wanted:
        from tessy._version import __version__

        typer.echo(f"tessy {__version__}")
        raise typer.Exit


def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback with errors, as TESSY_DEBUG=1 does.")
    ] = False,
) -> None:
    """Let a teacher and a student model write reasoning traces together."""
    if debug and isinstance(context.obj, Debug):
        context.obj.on = True
    if isinstance(context.obj, Debug) and context.obj.wanted():
        _log_all()


def _log_all() -> None:
    """Also why single rows fail, with where it comes from."""
    logging.getLogger("tessy").setLevel(logging.DEBUG)
    if isinstance(logging.lastResort, logging.Handler):
        logging.lastResort.setLevel(logging.DEBUG)
