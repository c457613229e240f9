"""Journals of other versions: which one it is, which tessy wrote it, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

from tessy._version import __version__
from tessy.errors import ConfigError
from tessy.journal.schema import MIGRATIONS, VERSION

__all__ = ["other_version"]

_WRITER = re.compile(rb"^tessy: *['\"]?([\w.+-]+)", re.MULTILINE)
"""In ``run.yaml``, beside the journal."""


def other_version(path: Path, found: str | None) -> ConfigError:
    """Why a journal whose format is not ours cannot be read; ``None``: it states none."""
    number = int(found) if found is not None and found.isascii() and found.isdecimal() else None
    if number is None:
        if path.stat().st_size == 0:
            return ConfigError(f"{path}: is empty: put a copy in its place; or begin its run ('tessy run')")
        stated = "it states no format" if found is None else f"it states the format {found[:20]!r}"
        return ConfigError(
            f"{path}: is no journal of tessy ({stated}): put a copy in its place, or name another run"
        )
    writer = _writer(path)
    what = f"{path}: is of journal format {number}" + (f", written by tessy {writer}" if writer else "")
    ours = f"this tessy ({__version__}) reads format {VERSION}"
    if number > VERSION:
        newer = f" to {writer} or later" if writer else ""
        return ConfigError(f"{what}; {ours}: upgrade tessy{newer} (pip install -U tessy-llm)")
    if number in MIGRATIONS:
        return ConfigError(
            f"{what}; {ours}: give the run's own 'tessy run' command once more, which brings the journal "
            "up to date and keeps all that is written"
        )
    return ConfigError(
        f"{what}; {ours} and has no way from there: use the version that wrote it, or begin another run"
    )


def _writer(path: Path) -> str | None:
    try:
        with open(path.with_name("run.yaml"), "rb") as file:
            match = _WRITER.search(file.read(10_000))
    except OSError:  # the version is a courtesy; the journal's own number is what matters
        return None
    return None if match is None else match[1].decode()
