"""Holds a command line against the real program without running it."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import click
import typer

from tessy.cli.app import create_app
from tessy.config import load
from tessy.errors import TessyError
from tessy.options import build
from tessy.plugins import Kind, Registry
from tessy.spec import Spec

__all__ = ["check_call", "check_inline"]

_KINDS: dict[str, Kind] = {"policy": "policy", "detector": "detector"}
_ELISION = "…"


def check_call(call: list[str], root: Path, cwd: Path) -> None:
    """Check how a command was called: options, SPECs, targets, files.

    Raises:
        ValueError: the real one would refuse it.
    """
    name, *arguments = call
    if name == "tessy":
        _check_tessy([argument for argument in arguments if argument != _ELISION], cwd)
    elif name == "make":
        targets = re.findall(r"^([a-z][a-z-]*):", (root / "Makefile").read_text(), re.M)
        for argument in arguments:
            if not argument.startswith("-") and "=" not in argument and argument not in targets:
                raise ValueError(f"make {argument}: the Makefile has no such target")
    elif name == "python" and arguments and arguments[0].endswith(".py"):
        if not any((base / arguments[0]).is_file() for base in (root, cwd)):
            raise ValueError(f"python {arguments[0]}: no such file")


def check_inline(command: str) -> None:
    """Check a command named in running text: the subcommand and the options exist.

    Raises:
        ValueError: one does not.
    """
    words = shlex.split(command.replace(_ELISION, ""))[1:]
    found: Any = typer.main.get_command(create_app())
    known = {"-h", "--help"}
    while True:
        known |= {option for param in found.params for option in (*param.opts, *param.secondary_opts)}
        names = getattr(found, "commands", None)
        if not names or not words or words[0].startswith("-"):
            break
        if words[0] not in names:
            raise ValueError(f"`{command}`: no command {words[0]!r}")
        found, words = names[words[0]], words[1:]
    for word in words:
        if word.startswith("-") and word.partition("=")[0] not in known:
            raise ValueError(f"`{command}`: no option {word}")


def _check_tessy(arguments: list[str], cwd: Path) -> None:
    shown = shlex.join(["tessy", *arguments])
    command, rest = _command(arguments, shown)
    if command is None:
        return
    try:
        context = command.make_context("tessy", rest)
    except click.exceptions.Exit:  # --help and the like
        return
    except Exception as error:  # of click, or of the copy that typer may carry
        if not hasattr(error, "format_message"):
            raise
        raise ValueError(f"{shown}: {error.format_message()}") from None
    registry = Registry.discover()
    try:
        for param in command.params:
            value = context.params.get(param.name)
            if "SPEC" in (getattr(param, "metavar", None) or ""):
                for spec in value if isinstance(value, (list, tuple)) else [value] if value else []:
                    _check_spec(registry, _KINDS.get(param.name, "backend"), spec)
        config = context.params.get("config")
        if config is not None and (cwd / config).is_file():
            load(cwd / config)
    except TessyError as error:
        raise ValueError(f"{shown}: {error}") from None


def _command(arguments: list[str], shown: str) -> tuple[Any, list[str]]:
    """The command that is meant, and its arguments; ``None`` if the program's own options are all."""
    command: Any = typer.main.get_command(create_app())
    rest = list(arguments)
    while names := getattr(command, "commands", None):
        while rest and rest[0].startswith("-"):
            option = rest.pop(0)
            if option not in {"-h", "--help", *(o for param in command.params for o in param.opts)}:
                raise ValueError(f"{shown}: no option {option}")
        if not rest:
            return None, []
        if rest[0] not in names:
            raise ValueError(f"{shown}: no command {rest[0]!r}")
        command = names[rest.pop(0)]
    return command, rest


def _check_spec(registry: Registry, kind: Kind, text: str) -> None:
    spec = Spec.parse(kind, text)
    entry = registry.entry(kind, spec.name)
    try:
        cls = registry.load(kind, spec.name)
    except TessyError:
        if entry.package == "tessy-llm":
            raise
        return  # what it runs on (torch, say) is not installed here
    build(kind, spec.name, entry.package, cls, spec.options, environ=os.environ)
