"""From what the user wrote to a plugin's validated options, with messages that say which and what else."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined, to_jsonable_python

from tessy.abc import Options
from tessy.errors import ConfigError, PluginLoadError
from tessy.optiontypes import groups, limits, locate, named, typename
from tessy.variables import expand, fold, is_secret, names, secret_in_url

__all__ = ["OptionInfo", "build", "describe"]

_LISTS = ("list", "tuple", "set", "frozen_set")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """An option as ``tessy plugins NAME`` shows it; ``default`` is ``None`` too where there is none.

    The options of a group follow it under its name, ``retry.tries``; ``steps[].name`` and ``models.*.name``
    are those of a list's and a mapping's groups.
    """

    name: str
    type: str
    required: bool
    default: Any
    help: str
    limits: str = ""

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
    itself, and ``a,b`` for a list. ``${VAR}`` is expanded; messages show it unexpanded. A group of options
    is a mapping; what is wrong inside is named with its whole path, ``retry.tries``.

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
    _refuse_secrets(path, raw, environ)
    try:
        values = {key: expand(value, f"{path}: {key}", environ) for key, value in raw.items()}
        return _validate(model, values, path, environ)
    except _Wrong as error:
        lines = [_line(path, package, model, raw, item) for item in error.errors]
        # A plugin's own validator may quote a variable's value.
        raise ConfigError(fold("\n".join(dict.fromkeys(lines)), names(raw), environ)) from None
    except ConfigError:
        raise
    except Exception as error:
        raise PluginLoadError(
            f"{path} (package {package}): its options could not be checked: {type(error).__name__}: {error}"
        ) from error


def describe(cls: type[Any]) -> list[OptionInfo]:
    """The options of a plugin's class, in its order; those of a group follow it."""
    model: type[Options] = cls.Options
    return list(_infos(model, "", PydanticUndefined, ()))


class _Wrong(Exception):
    """What pydantic found, after both readings."""

    def __init__(self, errors: list[ErrorDetails]) -> None:
        super().__init__()
        self.errors = errors


def _validate(model: type[Options], values: dict[str, Any], path: str, environ: Mapping[str, str]) -> Options:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)
    # Only what pydantic cannot read as it stands gets a second reading.
    again, opened = deepcopy(values), set()
    for item in first:
        keys = locate(model, item["loc"]).keys
        text = _at(again, keys)
        if isinstance(text, str) and (value := _read(text, item["type"])) != text:
            _at(again, keys[:-1])[keys[-1]] = value
            if isinstance(value, (dict, list)):
                opened.add(keys)
    if again == values:
        raise _Wrong(first)
    _refuse_secrets(path, again, environ)
    try:
        return model.model_validate(again)
    except ValidationError as error:
        second = error.errors(include_url=False)
    # Of what was opened, what is wrong inside; of all else, what is wrong with it as it was written.
    inside = [item for item in second if _within(locate(model, item["loc"]).keys, opened)]
    raise _Wrong([item for item in first if locate(model, item["loc"]).keys not in opened] + inside)


def _within(keys: tuple[str | int, ...], opened: Collection[tuple[str | int, ...]]) -> bool:
    return any(keys[: len(one)] == one for one in opened)


def _at(value: Any, keys: Sequence[str | int]) -> Any:
    """What stands there; `PydanticUndefined` if nothing does."""
    for key in keys:
        if not isinstance(value, (dict, list, tuple, Mapping)):
            return PydanticUndefined
        try:
            value = value[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return PydanticUndefined
    return value


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
    if problem in ("literal_error", "enum") and _NUMBER.fullmatch(text):
        return json.loads(text)  # one of several numbers is not read out of a string
    return text


def _line(path: str, package: str, model: type[Options], raw: Mapping[str, Any], item: ErrorDetails) -> str:
    """One problem, in one line: the option's full path first."""
    place = locate(model, item["loc"])
    at = f"{path}: {place.path}" if place.path else path
    if item["type"] == "extra_forbidden" and place.siblings is not None:
        near = get_close_matches(str(place.keys[-1]), place.siblings, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        group = place.path.rpartition(".")[0] or f"{path.split()[-1]} of package {package}"
        return f"{at}: no such option{hint} ({group} has: {', '.join(place.siblings) or 'none'})"
    if item["type"] == "missing" and place.siblings is not None:
        return f"{at}: is required (package {package})"
    message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.replace("Input should be", "must be", 1)
    given = _given(raw, place.keys)
    got = "" if given is PydanticUndefined else f", got {_short(given)}"
    expected = ""
    if place.field is not None and item["type"] not in ("literal_error", "enum"):
        expected = f" (expects {typename(place.field.annotation)})"
    return f"{at}: {message}{got}{expected}"


def _given(raw: Mapping[str, Any], keys: Sequence[str | int]) -> Any:
    """What the user wrote there, also inside a JSON text."""
    value: Any = raw
    for key in keys:
        if isinstance(value, str):
            value = _read(value, "list_type")
        value = _at(value, (key,))
    return value if keys else PydanticUndefined


def _refuse_secrets(path: str, value: Any, environ: Mapping[str, str]) -> None:
    """``path`` is the plugin's, and the option's in a group."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_secret(f"{path}{'.' if ': ' in path else ': '}{key}", str(key), item, environ)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _refuse_secret(f"{path}[{i}]", "", item, environ)


def _refuse_secret(path: str, key: str, value: Any, environ: Mapping[str, str]) -> None:
    if isinstance(value, (Mapping, list, tuple)):
        _refuse_secrets(path, value, environ)
    elif is_secret(key) and value not in (None, ""):
        raise ConfigError(
            f"{path}: a secret is never written in a setting; put it in an environment variable "
            f"and name that: {key}_env=VARIABLE"
        )
    elif key.endswith("_env") and is_secret(key.removesuffix("_env")) and isinstance(value, str):
        # A key pasted here would be written to run.yaml. Variables are upper case, or at least exist.
        variable = _VARIABLE_NAME.fullmatch(value) and (value == value.upper() or value in environ)
        if value and not variable:
            raise ConfigError(
                f"{path}: must be the name of an environment variable, like OPENAI_API_KEY; "
                "what it says is not the name of one, and is not shown in case it is the secret itself"
            )
    elif isinstance(value, str) and (found := secret_in_url(value)):
        raise ConfigError(f"{path}: its URL holds a secret ({found}); write ${{VARIABLE}} in its place")


def _infos(
    model: type[BaseModel], prefix: str, defaults: Any, above: tuple[type[BaseModel], ...]
) -> Iterator[OptionInfo]:
    """``defaults``: the group's own default, if it is one; ``above``: the groups that it stands in."""
    for attribute, (name, field) in zip(model.model_fields, named(model).items(), strict=True):
        default = getattr(defaults, attribute, None) if isinstance(defaults, BaseModel) else _default(field)
        required = default is PydanticUndefined
        shown = None if required else to_jsonable_python(default, fallback=str)
        kind, text = typename(field.annotation), field.description or ""
        yield OptionInfo(prefix + name, kind, required, shown, text, limits(field))
        for between, group in groups(field.annotation):
            if group not in (*above, model):
                yield from _infos(group, prefix + name + between, default, (*above, model))


def _default(field: FieldInfo) -> Any:
    try:
        return field.get_default(call_default_factory=True, validated_data={})
    except Exception:  # it follows from the other options
        return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
