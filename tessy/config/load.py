"""A file's settings and the flags that override them become one `RunConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tessy.config.file import Settings, read_settings
from tessy.config.model import ALL_ROLES, RunConfig
from tessy.errors import ConfigError
from tessy.spec import Spec

__all__ = ["load"]

_SHORT = ("teacher", "student")
_FLAGS = {"prices": "--price", "backends": "--backend", "limit": "-n", "output": "-o", "prompts": "PROMPTS"}


def load(
    base: str | Path | Mapping[str, Any] | RunConfig | None = None, flags: Mapping[str, Any] | None = None
) -> RunConfig:
    """Read settings; flags override them.

    Args:
        base: a YAML file, as given with ``-c``, or what would stand in one.
        flags: by the names of `RunConfig`'s fields; ``backends`` is a sequence of SPECs, ``teacher`` and
            ``student`` are one each. ``None``, ``False`` and empty sequences mean that a flag was not given.

    Raises:
        ConfigError: a setting is unknown or wrong; names file and line, or the flag.
    """
    settings = _settings(base)
    given = {name: value for name, value in (flags or {}).items() if not _absent(value)}
    from_flags = _backends(given)
    override = {name: value for name, value in given.items() if name not in ("backends", *_SHORT)}
    try:
        values = dict(settings.values)
        if from_flags:
            of_file = RunConfig.model_validate({"backends": values.get("backends", {})})
            values["backends"] = _merge(of_file.backends, from_flags)
        return RunConfig.model_validate({**values, **override})
    except ValidationError as error:
        lines = [_line(settings, override, item) for item in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from None


def _settings(base: str | Path | Mapping[str, Any] | RunConfig | None) -> Settings:
    if base is None:
        return Settings()
    if isinstance(base, RunConfig):
        return Settings(values={name: getattr(base, name) for name in base.model_fields_set})
    return Settings(values=base) if isinstance(base, Mapping) else read_settings(base)


def _absent(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, (list, tuple)) and not value)


def _backends(given: Mapping[str, Any]) -> dict[str, Spec]:
    """The backends that flags give, by role.

    Raises:
        ConfigError: one is wrong, or two are for one role.
    """
    specs: list[Spec] = []
    for value in given.get("backends", ()):
        specs.append(_spec(value))
    for role in _SHORT:
        if role in given:
            spec = _spec(given[role])
            if spec.role not in (None, role):
                raise ConfigError(f"--{role} {given[role]}: names role {spec.role!r}")
            specs.append(Spec(spec.name, spec.model, spec.urls, spec.options, role))
    try:
        return RunConfig.model_validate({"backends": specs}).backends
    except ValidationError as error:
        raise ConfigError(f"--backend: {_message(error.errors(include_url=False)[0])}") from None


def _spec(value: str | Spec) -> Spec:
    return value if isinstance(value, Spec) else Spec.parse("backend", value)


def _merge(file: Mapping[str, Spec], flags: Mapping[str, Spec]) -> dict[str, Spec]:
    """A flag for all roles leaves nothing of the file's backends; others replace role by role."""
    return dict(flags) if ALL_ROLES in flags else {**file, **flags}


def _line(settings: Settings, override: Mapping[str, Any], item: ErrorDetails) -> str:
    path: Sequence[Any] = item["loc"]
    name = str(path[0]) if path else ""
    if name in override:
        return f"{_FLAGS.get(name) or '--' + name.replace('_', '-')} {override[name]}: {_message(item)}"
    where = f"{settings.where(path)}: " if settings.name else ""
    if item["type"] == "extra_forbidden":
        near = get_close_matches(name, RunConfig.model_fields, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"settings are {', '.join(RunConfig.model_fields)}"
        return f"{where}no such setting {name!r}; {hint}"
    return f"{where}{'.'.join(map(str, path))}: {_message(item)}"


def _message(item: ErrorDetails) -> str:
    return item["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
