"""Fills the templates: plain files with ``{{ placeholders }}``, package data beside this module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tessy.errors import ConfigError
from tessy.plugins.entry import HOOKS, Kind
from tessy.scaffold.blueprint import Blueprint

__all__ = ["write"]

_TEMPLATES = Path(__file__).parent / "templates"
_WIDTH = 110
"""Characters a line of the new package may have; its ``pyproject.toml`` says so to ruff."""
_KINDS: Mapping[Kind, Mapping[str, str]] = {
    "policy": {
        "phrase": "switch policy",
        "base": "SwitchPolicy",
        "summary": "the teacher helps where the student hesitates",
    },
    "detector": {
        "phrase": "style detector",
        "base": "StyleDetector",
        "summary": "some words, and what follows them, are style",
    },
    "backend": {
        "phrase": "backend",
        "base": "Backend",
        "summary": "words that follow each other in a text file",
    },
}
"""What the templates call a kind and its example."""


def write(blueprint: Blueprint, folder: Path) -> list[PurePosixPath]:
    """Write a new package into ``folder``, which must not exist; the files, in order.

    Raises:
        ConfigError: the folder exists or cannot be made.
    """
    files = dict(_files(blueprint))
    made = False
    try:
        folder.mkdir(parents=True)
        made = True
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
    except FileExistsError:
        raise ConfigError(
            f"{folder}: exists already, nothing was written; name a new folder with -o"
        ) from None
    except OSError as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)  # why it could not be written is what is told
        why = error.strerror or error
        raise ConfigError(f"{folder}: cannot be written: {why}; nothing is left of it") from None
    return sorted(files)


def _files(blueprint: Blueprint) -> Iterator[tuple[PurePosixPath, str]]:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 – writes Python, not HTML
    )
    environment.globals["imported"] = _imported
    values = {
        "name": blueprint.name,
        "kind": blueprint.kind,
        "package": blueprint.package,
        "module": blueprint.module,
        "cls": blueprint.cls,
        "options": blueprint.options,
        "requirement": blueprint.requirement,
        **_KINDS[blueprint.kind],
        "hook": next(hook for hook, kind in HOOKS.items() if kind == blueprint.kind),
    }
    for template in environment.list_templates():
        part, _, path = template.partition("/")
        if part in ("common", blueprint.kind):
            place = path.removesuffix(".jinja").replace("package/", f"{blueprint.module}/", 1)
            yield PurePosixPath(place), environment.get_template(template).render(values)


def _imported(module: str, *names: str, indent: int = 0) -> str:
    """An import statement as a formatter would write it."""
    line = f"from {module} import {', '.join(sorted(names))}"
    if indent + len(line) <= _WIDTH:
        return line
    margin = " " * indent
    return (
        f"from {module} import (\n"
        + "".join(f"{margin}    {name},\n" for name in sorted(names))
        + f"{margin})"
    )
