"""Compressed files: opened as what is in them, known by how their names end."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, BinaryIO, cast

__all__ = ["ERRORS", "TOOLS", "open_unpacked", "unpacked_suffix"]

TOOLS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}
"""Programs that unpack such a file (``gzip -dc``)."""
ERRORS = (OSError, EOFError, lzma.LZMAError)
"""What reading one may raise."""
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def open_unpacked(path: PurePath) -> BinaryIO:
    """The bytes of a file, unpacked if its name says that it is compressed."""
    return cast(BinaryIO, _OPENERS.get(path.suffix, open)(path, "rb"))


def unpacked_suffix(path: PurePath) -> str:
    """How the name of what is in the file would end: ``.jsonl`` for ``a.jsonl`` and ``a.jsonl.gz``."""
    return PurePath(path.stem).suffix if path.suffix in _OPENERS else path.suffix
