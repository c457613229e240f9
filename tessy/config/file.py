"""Reads a YAML file of settings and remembers on which line each stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tessy.errors import ConfigError

__all__ = ["Settings", "read_settings"]

_RECORDED = ("tessy", "identity", "packages")
"""What tessy adds to the ``run.yaml`` of a run directory, so that one can be given with ``-c`` again."""


@dataclass(frozen=True)
class Settings:
    """What a file says; ``lines`` by path, ``("backends", "teacher")``."""

    name: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def where(self, path: Sequence[Any]) -> str:
        """``run.yaml:7``: the line of a setting, or of the nearest that contains it."""
        parts = tuple(str(part) for part in path)
        while parts and parts not in self.lines:
            parts = parts[:-1]
        return f"{self.name}:{self.lines[parts]}" if parts else self.name


def read_settings(path: str | Path) -> Settings:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, is not YAML, or says one thing twice; names file and line.
    """
    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{where}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ConfigError(f"{name}: not YAML: {error}") from None
    if values is None:
        return Settings(name)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{name}: must hold settings, one 'name: value' a line")
    lines: dict[tuple[str, ...], int] = {}
    for at, line in _lines(node, (), frozenset()):
        if at in lines and line != lines[at]:
            raise ConfigError(f"{name}:{line}: {'.'.join(at)} stands on line {lines[at]} already")
        lines[at] = line
    return Settings(name, {key: values[key] for key in values if key not in _RECORDED}, lines)


def _lines(node: Any, path: tuple[str, ...], above: frozenset[int]) -> Iterator[tuple[tuple[str, ...], int]]:
    if id(node) in above:  # an alias to what contains it
        return
    inside = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            at = (*path, str(key.value))
            yield at, key.start_mark.line + 1
            yield from _lines(value, at, inside)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            at = (*path, str(index))
            yield at, value.start_mark.line + 1
            yield from _lines(value, at, inside)
