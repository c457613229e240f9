"""The traces to be written, known from the simulated servers' seed: who writes how much, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tessy.testing.simulated import Lengths, Speed
from tessy.testing.simulated.generation import first_token
from tessy.testing.simulated.traces import Place, Plan

__all__ = ["MARKS", "Part", "Trace", "traces"]

MARKS = 3
"""Tokens that close a thinking and end a turn: they are written, and belong to no span."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one model writes in one go.

    Attributes:
        role: who.
        tokens: how many, marks included.
        before: tokens since its last part: what it has to read before.
        first: seconds to its first token when all that stands before is cached.
        closes: its end shows by itself, by a mark: nothing beyond it has to be seen.
        last: nothing is switched to after it.
    """

    role: str
    tokens: int
    before: int
    first: float
    closes: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace: the fewest parts in which a student and a teacher can write it."""

    parts: Sequence[Part]

    @property
    def tokens(self) -> int:
        """Tokens of all parts."""
        return sum(part.tokens for part in self.parts)

    @property
    def switches(self) -> int:
        """Hand-overs."""
        return len(self.parts) - 1


def traces(numbers: Iterable[int], *, seed: int, lengths: Lengths, speed: Speed) -> list[Trace]:
    """The servers' own plans of these traces; style is the student's, and so is the answer."""
    return [_trace(number, seed, lengths, speed) for number in numbers]


def _trace(number: int, seed: int, lengths: Lengths, speed: Speed) -> Trace:
    plan = Plan(number, seed, lengths)
    begins = [0, *plan.ends[:-1]]
    written = [("student", "teacher")[i % 2] for i in range(len(begins))]
    sizes = [end - begin for begin, end in zip(begins, plan.ends, strict=True)]
    places = [Place(number, "think", begin) for begin in begins]
    if written[-1] == "student":
        sizes[-1] += plan.answer + MARKS  # it closes the thinking and goes on
    else:
        written.append("student")
        sizes[-1] += MARKS - 1
        sizes.append(plan.answer + 1)
        places.append(Place(number, "answer", 0))
    parts = []
    for i, (role, size, place) in enumerate(zip(written, sizes, places, strict=True)):
        first = first_token(speed, seed, role, place)
        before = sizes[i - 1] if i else 0
        closes = i == len(sizes) - 1 or places[i + 1].phase == "answer"
        parts.append(Part(role, size, before, first, closes, i == len(sizes) - 1))
    return Trace(parts)
