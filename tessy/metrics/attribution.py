"""Whose token is it? The student's tokens of a row, with author, phase and kind of their first characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tessy.types import Phase, Scores

__all__ = ["Piece", "Token", "attribute", "split_kinds"]


@dataclass(frozen=True, slots=True)
class Piece:
    """``text[start:end]`` of one phase is by ``author``; pieces ascend without gap."""

    start: int
    end: int
    author: str
    kind: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """One of the student's tokens.

    ``nll`` is its negative log-likelihood in nats, ``rank`` its place among all tokens (1: the likeliest;
    ``None``: the engine does not say).
    """

    nll: float
    rank: int | None
    author: str
    phase: Phase
    kind: str | None


def attribute(scores: Scores, pieces: Sequence[Piece], phase: Phase) -> Iterator[Token]:
    """The tokens of one phase's text. A token belongs to the piece of its first character."""
    i = 0
    for offset, rated in zip(scores.offsets, scores.logprobs, strict=True):
        while i + 1 < len(pieces) and pieces[i].end <= offset:
            i += 1
        yield Token(-rated.logprob, rated.rank, pieces[i].author, phase, pieces[i].kind)


def split_kinds(pieces: Sequence[Piece], style: Sequence[tuple[int, int]]) -> list[Piece]:
    """The same pieces with kinds by these spans of style (ascending, disjoint) in place of their own."""
    found: list[Piece] = []
    i = 0
    for piece in pieces:
        at = piece.start
        while at < piece.end:
            while i < len(style) and style[i][1] <= at:
                i += 1
            start, end = style[i] if i < len(style) else (piece.end, piece.end)
            if at < start:
                stop, kind = min(start, piece.end), "capability"
            else:
                stop, kind = min(end, piece.end), "style"
            found.append(Piece(at, stop, piece.author, kind))
            at = stop
    return found
