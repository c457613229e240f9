"""What is kept of a row's tokens: sums, from which every figure of rows and runs is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tessy.metrics.attribution import Token
from tessy.types import Phase

__all__ = ["AROUND", "RANK_LIMIT", "Cell", "Group", "Seam", "Sums", "sum_up"]

RANK_LIMIT = 100
"""Ranks above it count as it (arXiv 2601.14249)."""
AROUND = 4
"""Tokens on each side of a hand-over that its first token is held against."""


class Group(NamedTuple):
    """Tokens that are summed together."""

    author: str
    phase: Phase
    kind: str | None


@dataclass(slots=True)
class Cell:
    """Sums over tokens: how many, their NLL in nats, their ranks up to `RANK_LIMIT` (``None``: unknown)."""

    tokens: int = 0
    nll: float = 0.0
    ranks: int | None = 0

    def add(self, other: Cell) -> None:
        """Add another's sums."""
        self.tokens += other.tokens
        self.nll += other.nll
        self.ranks = None if self.ranks is None or other.ranks is None else self.ranks + other.ranks


@dataclass(slots=True)
class Seam:
    """Sums over places where something changes: the NLL of first tokens, and the mean NLL around each."""

    count: int = 0
    first: float = 0.0
    around: float = 0.0


@dataclass(slots=True)
class Sums:
    """A row's sums.

    Attributes:
        cells: by group.
        handovers: where the author changes, by the one who takes over.
        onsets: where the kind changes, by the one that begins.
    """

    cells: dict[Group, Cell] = field(default_factory=dict)
    handovers: dict[str, Seam] = field(default_factory=dict)
    onsets: dict[str, Seam] = field(default_factory=dict)

    def over(self, *, author: str | None = None, phase: Phase | None = None, kind: str | None = None) -> Cell:
        """The sums over all groups that match what is given."""
        total = Cell()
        for group, cell in self.cells.items():
            if (
                (author is None or group.author == author)
                and (phase is None or group.phase == phase)
                and (kind is None or group.kind == kind)
            ):
                total.add(cell)
        return total

    def as_json(self) -> dict[str, Any]:
        """Plain lists; `from_json` reads them."""
        return {
            "cells": [[*group, cell.tokens, cell.nll, cell.ranks] for group, cell in self.cells.items()],
            "handovers": _listed(self.handovers),
            "onsets": _listed(self.onsets),
        }

    @classmethod
    def from_json(cls, data: Any) -> Sums:
        """What `as_json` gave."""
        return cls(
            {Group(*cell[:3]): Cell(*cell[3:]) for cell in data["cells"]},
            {to: Seam(*rest) for to, *rest in data["handovers"]},
            {to: Seam(*rest) for to, *rest in data["onsets"]},
        )


def sum_up(phases: Sequence[Sequence[Token]]) -> Sums:
    """The sums over a row's tokens, given phase by phase: nothing is compared across the mark between."""
    sums = Sums()
    for tokens in phases:
        for token in tokens:
            cell = sums.cells.setdefault(Group(token.author, token.phase, token.kind), Cell())
            rank = None if token.rank is None else min(token.rank, RANK_LIMIT)
            cell.add(Cell(1, token.nll, rank))
        _add_changes(sums.handovers, tokens, [token.author for token in tokens])
        _add_changes(sums.onsets, tokens, [token.kind for token in tokens])
    return sums


def _add_changes(seams: dict[str, Seam], tokens: Sequence[Token], values: Sequence[str | None]) -> None:
    """Where ``values`` change to something: the first token, and up to `AROUND` tokens on each side of it.

    First tokens of other changes do not count as neighbours; a change without any neighbour is left out.
    """
    changes = [i for i in range(1, len(tokens)) if values[i] != values[i - 1]]
    firsts = set(changes)
    for i in changes:
        to = values[i]
        near = [
            tokens[j].nll
            for j in range(max(0, i - AROUND), min(len(tokens), i + AROUND + 1))
            if j not in firsts
        ]
        if to is not None and near:
            seam = seams.setdefault(to, Seam())
            seam.count += 1
            seam.first += tokens[i].nll
            seam.around += sum(near) / len(near)


def _listed(seams: dict[str, Seam]) -> list[list[Any]]:
    return [[to, seam.count, seam.first, seam.around] for to, seam in seams.items()]
