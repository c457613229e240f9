"""Entries: what is to be written to a journal, as plain values that can also travel between processes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Entry", "Group", "packed", "unpacked"]


class Entry(NamedTuple):
    """One statement.

    ``op`` says which (`tessy.journal.store.Store.apply`), ``values`` are its columns: text, numbers, bytes,
    ``None``.
    """

    op: str
    values: tuple[Any, ...]


class Group(NamedTuple):
    """Entries that are committed together.

    ``ended``: they end a row, with its number and ``"done"`` or ``"failed"``.
    """

    entries: tuple[Entry, ...]
    ended: tuple[int, str] | None = None


def packed(group: Group) -> list[Any]:
    """As JSON can hold it: bytes become a list of one text."""
    entries = [
        [op, [[b64encode(value).decode()] if isinstance(value, bytes) else value for value in values]]
        for op, values in group.entries
    ]
    return [entries, group.ended]


def unpacked(value: Sequence[Any]) -> Group:
    """The group in such JSON."""
    entries, ended = value
    return Group(
        tuple(
            Entry(op, tuple([b64decode(one[0]) if type(one) is list else one for one in values]))
            for op, values in entries
        ),
        None if ended is None else (ended[0], ended[1]),
    )
