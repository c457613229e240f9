"""Puts data, style and script into one file that asks the network for nothing.

All text of models reaches the page as JSON in which no ``<`` stands, and the script puts it there as text,
never as HTML. A content security policy allows this script and style alone, by their hashes.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from tessy._version import __version__
from tessy.errors import ConfigError
from tessy.replacing import replacing

__all__ = ["write_page"]

_ESCAPES = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))


def write_page(target: Path, data: Mapping[str, Any]) -> int:
    """Write the file, whole or not at all; its size in bytes.

    Raises:
        ConfigError: it cannot be written.
    """
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )
    page = _asset("report.html")
    for name, value in (
        (b"{{policy}}", policy.encode()),
        (b"{{version}}", __version__.encode()),
        (b"{{style}}", style),
        (b"{{script}}", script),
        (b"{{data}}", _json(data)),
    ):
        before, _, after = page.partition(name)
        page = before + value + after
    fresh = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, fresh=fresh) as file:
            file.write(page)
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(f"{target}: cannot be written: {why}; choose another -o") from error
    return len(page)


def _json(data: Mapping[str, Any]) -> bytes:
    text = orjson.dumps(data, default=str)
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


def _asset(name: str) -> bytes:
    return (files("tessy.report") / name).read_bytes()


def _hash(text: bytes) -> str:
    return f"sha256-{b64encode(sha256(text).digest()).decode()}"
