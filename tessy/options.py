"""From what the user wrote to a plugin's validated options, with messages that say which and what else."""

from __future__ import annotations

import json
import os
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tessy.abc import Options
from tessy.errors import ConfigError, PluginLoadError
from tessy.variables import expand, fold, is_secret, names, secret_in_url

__all__ = ["OptionInfo", "build", "describe"]

_LISTS = ("list", "tuple", "set", "frozen_set")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """An option as ``tessy plugins NAME`` shows it; ``default`` is ``None`` too where there is none."""

    name: str
    type: str
    required: bool
    default: Any
    help: str

    def as_json(self) -> dict[str, Any]:
        """Fields that JSON can hold."""
        return asdict(self)


def build(
    kind: str,
    name: str,
    package: str,
    cls: type[Any],
    raw: Mapping[str, Any],
    *,
    environ: Mapping[str, str] = os.environ,
) -> Options:
    """Validate ``raw`` as ``cls.Options``; strings are coerced to the option's type.

    In a string, ``none`` stands for no value where the option may have none, a JSON array or object for
    itself, and ``a,b`` for a list. ``${VAR}`` is expanded; messages show it unexpanded.

    Args:
        kind: what it is to the user, ``policy`` or ``backend teacher``: the beginning of an option's path.
        name: the plugin's name.
        package: the package that registered it.
        cls: the plugin's class.
        raw: options as given.
        environ: where variables are looked up.

    Raises:
        ConfigError: an option is unknown, missing, of the wrong value, or a literal secret.
        PluginLoadError: the plugin's own validation failed in an unexpected way.
    """
    path = f"{kind} {name}"
    model: type[Options] = cls.Options
    for key, value in raw.items():
        _refuse_secret(f"{path}: {key}", key, value, environ)
    try:
        expanded = {key: expand(value, f"{path}: {key}", environ) for key, value in raw.items()}
        return _validate(model, expanded)
    except ValidationError as error:
        lines = [_line(path, package, model, raw, item) for item in error.errors(include_url=False)]
        # A plugin's own validator may quote a variable's value.
        raise ConfigError(fold("\n".join(dict.fromkeys(lines)), names(raw), environ)) from None
    except ConfigError:
        raise
    except Exception as error:
        raise PluginLoadError(
            f"{path} (package {package}): its options could not be checked: {type(error).__name__}: {error}"
        ) from error


def describe(cls: type[Any]) -> list[OptionInfo]:
    """The options of a plugin's class, in its order."""
    return [_info(name, field) for name, field in cls.Options.model_fields.items()]


def _validate(model: type[Options], values: dict[str, Any]) -> Options:
    try:
        return model.model_validate(values)
    except ValidationError as first:
        # Only what pydantic cannot read as it stands gets a second reading.
        again = dict(values)
        for item in first.errors(include_url=False):
            key = item["loc"][0] if item["loc"] else None
            if isinstance(key, str) and isinstance(values.get(key), str):
                again[key] = _read(values[key], item["type"])
        if again == values:
            raise
        try:
            return model.model_validate(again)
        except ValidationError:
            raise first from None


def _read(text: str, problem: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    if problem in [f"{kind}_type" for kind in _LISTS]:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _line(path: str, package: str, model: type[Options], raw: Mapping[str, Any], item: ErrorDetails) -> str:
    """One problem, in one line: the option's full path first."""
    options = list(model.model_fields)
    where = ".".join(str(part) for part in item["loc"][:1])
    at = f"{path}: {where}" if where else path
    if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
        near = get_close_matches(where, options, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        has = f"{', '.join(options)}" if options else "none"
        return f"{at}: no such option{hint} ({path.split()[-1]} of package {package} has: {has})"
    if item["type"] == "missing" and len(item["loc"]) == 1:
        return f"{at}: is required (package {package})"
    message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.replace("Input should be", "must be", 1)
    given = raw.get(where, model.model_fields[where].default) if where in model.model_fields else None
    got = f", got {_short(given)}" if where in raw else ""
    field = model.model_fields.get(where)
    expected = ""
    if field is not None and item["type"] != "literal_error":
        expected = f" (expects {_type(field.annotation)})"
    return f"{at}: {message}{got}{expected}"


def _refuse_secret(path: str, key: str, value: Any, environ: Mapping[str, str]) -> None:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            _refuse_secret(f"{path}.{inner}", str(inner), item, environ)
    elif is_secret(key) and value not in (None, ""):
        raise ConfigError(
            f"{path}: a secret is never written in a setting; put it in an environment variable "
            f"and name that: {key}_env=VARIABLE"
        )
    elif key.endswith("_env") and is_secret(key.removesuffix("_env")) and isinstance(value, str):
        # A key pasted here would be written to run.yaml. Variables are upper case, or at least exist.
        named = _VARIABLE_NAME.fullmatch(value) and (value == value.upper() or value in environ)
        if value and not named:
            raise ConfigError(
                f"{path}: must be the name of an environment variable, like OPENAI_API_KEY; "
                "what it says is not the name of one, and is not shown in case it is the secret itself"
            )
    elif isinstance(value, str) and (found := secret_in_url(value)):
        raise ConfigError(f"{path}: its URL holds a secret ({found}); write ${{VARIABLE}} in its place")


def _info(name: str, field: FieldInfo) -> OptionInfo:
    required = field.is_required()
    default = None if required else field.get_default(call_default_factory=True, validated_data={})
    try:
        json.dumps(default)
    except (TypeError, ValueError):
        default = str(default)
    return OptionInfo(name, _type(field.annotation), required, default, field.description or "")


def _type(annotation: Any) -> str:
    """An annotation as a user reads it: ``int | None``, ``'student' | 'teacher'``."""
    if annotation is None or annotation is type(None):
        return "none"
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(json.dumps(value) if not isinstance(value, str) else value for value in args)
    if origin in (Union, types.UnionType):
        return " | ".join(_unique(_type(arg) for arg in args))
    if hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__)
    if origin is not None:
        inside = ", ".join("…" if arg is Ellipsis else _type(arg) for arg in args)
        return f"{getattr(origin, '__name__', origin)}[{inside}]"
    return str(getattr(annotation, "__name__", annotation))


def _unique(parts: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(parts))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
