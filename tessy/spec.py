"""SPEC: which plugin, which model, where, with which options, in one word of a command line.

::

    [ROLE=]NAME:MODEL[@URL[,URL…]][?KEY=VALUE&…]     a backend
    NAME[:MODEL][?KEY=VALUE&…]                       a policy or a detector

- The options begin at the *last* ``?``. If the model or the URL has one of its own, another ``?`` must
  follow, with or without options: ``vllm:org/model@https://host/v1?version=2?``.
- A URL begins at the first ``@`` before ``scheme://`` or ``${VAR}``; every other ``@`` belongs to the model.
  Replicas are separated by a comma before the next ``scheme://`` or ``${VAR}``.
- ``GROUP.KEY=VALUE`` is an option of a group of options.
- Values are percent-decoded: write ``%26`` for ``&``, ``%3F`` for ``?``, ``%25`` for ``%``. Nothing else is.
- ``ROLE=`` is a role only if it is a word before the first ``:``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from tessy.builtin import EXAMPLES
from tessy.errors import ConfigError
from tessy.plugins.entry import Kind
from tessy.variables import expand, fold, names, redact, secret_in_url

__all__ = ["Spec"]

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_ROLE = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=")
_START = r"(?=[A-Za-z][A-Za-z0-9+.-]*://|\$\{)"
_URLS = re.compile(f"@{_START}")
_COMMA = re.compile(f",{_START}")
_HOST_AND_PORT = re.compile(r"@(?:[\w.-]+|\[[0-9A-Fa-f:]+\]):\d+(?:/|$)")
_KEPT = "/:,;@=!$'()*+~[]{}|^`<>\"\\"


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed SPEC; ``str(spec)`` parses to an equal one.

    ``options`` holds strings, and mappings of them for groups, where it was parsed, and any JSON where a
    file gave structure. ``${VAR}`` stands as written.
    """

    name: str
    model: str | None = None
    urls: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    role: str | None = None

    @classmethod
    def parse(cls, kind: Kind, text: str) -> Spec:
        """Parse a SPEC.

        Raises:
            ConfigError: it is none; says what is wrong and shows one that is right.
        """
        try:
            return _parse(kind, text)
        except ValueError as error:
            shown = redact(text.encode("utf-8", "replace").decode())
            raise ConfigError(f"{kind} {shown!r}: {error}\nexample: {EXAMPLES[kind]}") from None

    def check(self, kind: Kind) -> Spec:
        """Return it if it can be written as a SPEC of its kind.

        Raises:
            ConfigError: a part of it cannot.
        """
        read = Spec.parse(kind, str(self))
        if (read.name, read.model, read.urls) != (self.name, self.model, self.urls):
            raise ConfigError(
                f"{kind} {redact(str(self))!r}: reads as name {read.name!r}, model {read.model!r}"
            )
        return self

    def expand(self, path: str, environ: Mapping[str, str]) -> Spec:
        """Model and URLs with their ``${VAR}`` replaced; a variable may hold several URLs.

        Options keep theirs: `tessy.options.build` expands them.

        Raises:
            ConfigError: a variable is not set, or what it holds is no URL.
        """
        model = expand(self.model, f"{path}: model", environ)
        urls: list[str] = []
        for url in self.urls:
            if found := secret_in_url(url):
                raise ConfigError(
                    f"{path}: its URL holds a secret ({found}); write ${{VARIABLE}} in its place"
                )
            try:
                urls += [_url(part) for part in _COMMA.split(expand(url, f"{path}: URL", environ))]
            except ValueError as error:
                raise ConfigError(f"{path}: {fold(str(error), names(url), environ)}") from None
        return Spec(self.name, model, tuple(urls), self.options, self.role)

    @property
    def plain(self) -> str:
        """Name and model alone: what a row shows."""
        return str(Spec(self.name, self.model))

    def __str__(self) -> str:
        text = f"{self.role}={self.name}" if self.role else self.name
        if self.model is not None:
            text += f":{self.model}"
        if self.urls:
            text += f"@{','.join(self.urls)}"
        options = "&".join(f"{key}={_encode(value)}" for key, value in _flat(self.options))
        return f"{text}?{options}" if options or "?" in text else text


def _parse(kind: Kind, text: str) -> Spec:
    if any(ord(char) < 32 or ord(char) == 127 or "\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("holds a control character, or is not text")
    head, mark, tail = text.rpartition("?")
    head, tail = (head.strip(), tail.strip()) if mark else (tail.strip(), "")
    options = _options(tail)
    role = None
    if kind == "backend" and (match := _ROLE.match(head)):
        role, head = match[1], head[match.end() :]
    name, colon, model = (part.strip() for part in head.partition(":"))
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{redact(name)!r} is not a plugin's name" if name else "the plugin's name is missing"
        )
    if kind != "backend":
        if colon and not model:
            raise ValueError("nothing follows the ':'")
        return Spec(name, _model(model), (), options)
    if not model:
        raise ValueError("a backend needs a model: NAME:MODEL")
    if model.startswith("//"):
        raise ValueError("this is a URL; write NAME:MODEL@URL")
    urls: tuple[str, ...] = ()
    if match := _URLS.search(model):
        model, joined = model[: match.start()].strip(), model[match.end() :]
        urls = tuple(_url(url.strip()) for url in _COMMA.split(joined))
    elif _HOST_AND_PORT.search(model):
        raise ValueError("a URL begins with http:// or https://")
    if not model:
        raise ValueError("a backend needs a model before the '@'")
    if model.endswith("@"):
        raise ValueError("nothing follows the '@'")
    return Spec(name, _model(model), urls, options, role)


def _model(text: str) -> str | None:
    if re.search(rf"\?{_KEY.pattern}=", text):
        raise ValueError("two '?' with options; inside a value write %3F")
    return text or None


def _options(text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for item in text.split("&") if text else ():
        key, mark, value = item.partition("=")
        if not _KEY.fullmatch(key):
            near = key.replace("-", "_")
            hint = "options are KEY=VALUE&…; is the '?' the model's or the URL's, add another at the end"
            if _KEY.fullmatch(near):
                hint = f"did you mean {near!r}?"
            raise ValueError(f"{redact(key)!r} is not an option's name; {hint}")
        if not mark:
            raise ValueError(f"option {key!r} has no value: {key}=…")
        *groups, name = key.split(".")
        group = options
        for outer in groups:
            group = group.setdefault(outer, {})
            if not isinstance(group, dict):
                raise ValueError(f"option {key!r}: {outer!r} is given a value of its own too")
        if name in group:
            raise ValueError(f"option {key!r} is given twice")
        try:
            group[name] = unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            raise ValueError(f"option {key!r}: its percent-encoding is not UTF-8") from None
    return options


def _flat(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Options with those of groups under dotted names, where that reads back as the same."""
    for key, value in options.items():
        if _is_group(value):
            yield from ((f"{key}.{inner}", item) for inner, item in _flat(value))
        else:
            yield key, value


def _is_group(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    return all(
        _WORD.fullmatch(key) and (isinstance(item, str) or _is_group(item)) for key, item in value.items()
    )


def _url(url: str) -> str:
    if "${" in url:
        return url
    if re.search(r"\s", url):
        raise ValueError("a URL holds white space")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a port raises if it is not a number
    except ValueError as error:
        hint = "; every replica begins with its scheme" if "," in url else ""
        raise ValueError(f"URL {redact(url)!r}: {redact(str(error))}{hint}") from None
    if not host:
        raise ValueError(f"URL {redact(url)!r} names no host")
    return url


def _encode(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return quote(text, safe=_KEPT)
