"""``${VAR}`` in settings, and what must never be written.

A setting names a variable, the variable holds the secret: settings are kept and written as they were
given, ``${VAR}`` is replaced only where the value is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tessy.errors import ConfigError

__all__ = ["expand", "fold", "is_secret", "names", "redact", "secret_in_url"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"(?i)(?:^|[_.-])(?:key|token|secret|password)$|^(?:api_?key|authorization)$")
_PAIR = re.compile(r"(?i)\b([\w.-]*(?:key|token|secret|password)|authorization)(=)(?!\$\{)[^&?#\s'\"]+")
_LOGIN = re.compile(r"(://[^/@\s:]*:)(?!\$\{)[^/@\s]+(@)")
_HIDDEN = "***"


def is_secret(name: str) -> bool:
    """Whether a setting of that name holds a secret: ``api_key``, ``hub_token``; not ``api_key_env``."""
    return _SECRET.search(name) is not None


def names(value: Any) -> set[str]:
    """The variables that a setting refers to."""
    if isinstance(value, str):
        return set(_VARIABLE.findall(value))
    if isinstance(value, Mapping):
        return set().union(*(names(item) for item in value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*(names(item) for item in value))
    return set()


def expand(value: Any, path: str, environ: Mapping[str, str] = os.environ) -> Any:
    """``value`` with every ``${VAR}`` in its strings replaced, once: a variable's value is taken as it is.

    Args:
        value: a string, or JSON that holds some.
        path: the setting's name, for the message.
        environ: where variables are looked up.

    Raises:
        ConfigError: a variable is not set; names it and the setting.
    """

    def look_up(match: re.Match[str]) -> str:
        if match[1] not in environ:
            raise ConfigError(f"{path}: the environment variable {match[1]} is not set (it says {match[0]})")
        return environ[match[1]]

    if isinstance(value, str):
        return _VARIABLE.sub(look_up, value)
    if isinstance(value, Mapping):
        return {key: expand(item, f"{path}.{key}", environ) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [expand(item, f"{path}[{i}]", environ) for i, item in enumerate(value)]
    return value


def secret_in_url(url: str) -> str | None:
    """Which literal secret a URL holds: ``password`` or the name of a query field; ``None``: none."""
    try:
        parts = urlsplit(url)
        if parts.password and not _VARIABLE.search(parts.password):
            return "password"
        fields = parse_qsl(parts.query)
    except ValueError:  # not a URL as long as a variable stands in it
        return None
    return next((key for key, value in fields if is_secret(key) and not _VARIABLE.search(value)), None)


def fold(value: Any, variables: Collection[str], environ: Mapping[str, str] = os.environ) -> Any:
    """The reverse of `expand`: where the value of one of ``variables`` stands in a string, its ``${VAR}``.

    For what was made from expanded settings and is to be written: a run's identity, a message. Values of
    fewer than four characters are left alone.
    """
    if isinstance(value, str):
        known = {environ.get(name, ""): name for name in sorted(variables)}
        for text in sorted(known, key=len, reverse=True):
            if len(text) >= 4:
                value = value.replace(text, f"${{{known[text]}}}")
        return value
    if isinstance(value, Mapping):
        return {key: fold(item, variables, environ) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fold(item, variables, environ) for item in value]
    return value


def redact(value: Any) -> Any:
    """``value`` without what must not be shown: values under secret names, passwords and keys in URLs."""
    if isinstance(value, str):
        return _LOGIN.sub(rf"\1{_HIDDEN}\2", _PAIR.sub(rf"\1\2{_HIDDEN}", value))
    if isinstance(value, Mapping):
        return {
            key: _HIDDEN
            if isinstance(item, str) and item and is_secret(str(key)) and not _VARIABLE.fullmatch(item)
            else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    return value
