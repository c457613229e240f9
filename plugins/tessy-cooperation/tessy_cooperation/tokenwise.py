"""Single tokens by the teacher, in the place of one that the student wrote."""

from __future__ import annotations

from tessy import Turn, TurnRecord
from tessy.types import Phase

__all__ = ["one_token"]

_CHARACTER = 4
"""Tokens that a character may take: it has at most so many bytes."""


def one_token(phase: Phase, last: TurnRecord | None) -> Turn | None:
    """The teacher's turn of one token if the student's last draft was cut, else ``None``.

    A token may be a part of a character, of which nothing is kept; it then gets room for a whole one.
    """
    if last is not None and last.role == "student" and last.cut:
        return Turn("teacher", phase, max_tokens=1)
    if last is not None and last.role == "teacher" and not last.kept:
        return Turn("teacher", phase, max_tokens=_CHARACTER)
    return None
