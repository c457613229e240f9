"""Whether a row comes through to the letter: finds what readers and writers of JSON change without a word."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

__all__ = ["check_read", "check_written"]

_LONG = re.compile(rb"[0-9]{19}")
"""A whole number below 64 bits is shorter, or must be looked at."""
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
_SHOWN = 40
"""Characters of a value, for a message."""


class _TooLong(str):
    """A whole number that no 64 bits hold, as it is written."""


def check_read(text: bytes, data: object) -> None:
    """Hold an object that was read from JSON against its text.

    Raises:
        ValueError: a number was rounded, or one of two equal keys was dropped; names column or key.
    """
    try:
        written = orjson.dumps(data)
    except TypeError as error:
        raise ValueError(f"cannot be written as JSON: {error}") from error
    # Colons are those of pairs and those in texts, so that a pair that was dropped takes one along. What
    # costs much is done only where these look odd: most lines are read but once.
    odd = text.count(b":") != written.count(b":") or b"\\u003" in text
    if odd or _LONG.search(text):
        for place, value in _leaves(json.loads(text, object_pairs_hook=_once, parse_int=_whole)):
            if isinstance(value, _TooLong):
                raise ValueError(_rounded(place, value))


def check_written(data: Mapping[str, Any]) -> None:
    """Try a row that need not come from JSON: its columns are written as such one day.

    Raises:
        ValueError: JSON cannot hold a value; names the column.
    """
    try:
        # It writes what is no number as null.
        said = _unfit(data) if b"null" in orjson.dumps(data) and not _finite(data) else None
    except TypeError as error:
        said = _unfit(data) or str(error)
    if said is not None:
        raise ValueError(said)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(
            f"the key {_short(twice)!r} stands twice in one object, and only one of its values can be kept; "
            "give one another name"
        )
    return found


def _whole(text: str) -> int | _TooLong:
    # The length first: Python refuses to read numbers of thousands of digits.
    return value if len(text) <= 20 and _LEAST <= (value := int(text)) <= _MOST else _TooLong(text)


def _unfit(data: Mapping[str, Any]) -> str | None:
    """The first value that cannot be written to the letter, in words."""
    try:
        return next((said for place, value in _leaves(data) if (said := _said(place, value))), None)
    except RecursionError:  # it holds itself, or nearly: what the writer says is right
        return None


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_finite, value))


def _said(place: str, value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"column {place!r} is {value}, which JSON has no number for; write null, or leave it out"
    try:
        orjson.dumps(value)
    except TypeError as error:
        if isinstance(value, int):
            return _rounded(place, str(value) if value.bit_length() < 1000 else "a number of many digits")
        if isinstance(value, str):
            return f"column {place!r} has a lone surrogate, which is not text: {_short(value)!r}"
        return f"column {place!r}: {error}"
    return None


def _rounded(place: str, value: str) -> str:
    return (
        f"column {place!r} holds {_short(value)}, a whole number beyond 64 bits, which would be rounded; "
        "write it as a text, in quotes"
    )


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """All that is neither an object nor a list, with where it stands: ``meta.ids[3]``; keys, too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str):
                yield f"{place}.{key}" if place else key, key
            yield from _leaves(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, (list, tuple)):
        for n, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{n}]")
    else:
        yield place, value


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
