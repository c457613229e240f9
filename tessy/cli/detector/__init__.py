"""``tessy detector``: make style detectors from your own models, measure them, look at what they say."""

from __future__ import annotations

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from tessy.cli.detector import annotate, evaluate, label, sample, train

    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.callback()(_group)
    for command in (sample, annotate, train, evaluate, label):
        command.register(group)
    app.add_typer(group, name="detector")


def _group() -> None:
    """Make style detectors from your own models: sample, annotate, train; evaluate and look at them."""
