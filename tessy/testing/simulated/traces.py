"""What the simulated models write: a trace that follows from the prompt alone, whoever writes it.

The thinking is a plan of spans, style and capability in turn, with lengths drawn from the prompt. A request
stands somewhere in the plan, as many tokens on as its prompt has after the opening mark, and the model writes
the plan's next words in its own hand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Literal

from tessy.seeds import derive
from tessy.testing.simulated.cache import Ids
from tessy.testing.simulated.model import Lengths, lognormal
from tessy.testing.simulated.vocabulary import NUMBERS, Vocabulary

__all__ = ["Phase", "Place", "Plan", "Traces"]

Phase = Literal["open", "think", "answer"]

_MIX = 0x9E3779B97F4A7C15
"""The golden ratio as a fraction of 2^64: multiples of it are spread evenly."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which trace a prompt ends.

    Attributes:
        trace: the trace: equal for equal conversations, whatever has been written since.
        phase: ``open``: nothing has been opened; the model opens its thinking itself.
        position: tokens of that phase that are there already.
    """

    trace: int
    phase: Phase
    position: int


class Plan:
    """One trace: ``thinking`` and ``answer`` are its lengths, ``ends`` where its spans end, style first."""

    def __init__(self, trace: int, seed: int, lengths: Lengths) -> None:
        random = Random(derive(seed, trace))
        self.thinking: int = max(1, round(lognormal(random, lengths.thinking, lengths.spread)))
        self.answer: int = max(1, round(lognormal(random, lengths.answer, lengths.spread)))
        self.ends: Ids = array("I")
        at, means = 0, (lengths.style, lengths.capability)
        while at < self.thinking:
            mean = means[len(self.ends) % 2]
            at += max(1, round(lognormal(random, mean, lengths.span_spread)))
            self.ends.append(min(at, self.thinking))

    def style(self, position: int) -> bool:
        """Whether the thinking's token at that position is style."""
        return bisect_right(self.ends, position) % 2 == 0


class Traces:
    """All traces of one model.

    Args:
        vocabulary: its words.
        lengths: how long they are.
        seed: of the plans; servers that write together need the same.
        hand: 0 or 1: its numbers are even or odd, so the text shows who wrote what.
    """

    def __init__(self, vocabulary: Vocabulary, lengths: Lengths, *, seed: int, hand: int) -> None:
        self._vocabulary = vocabulary
        self._lengths = lengths
        self._seed = seed
        self._hand = hand
        self._plans: dict[int, Plan] = {}

    def plan(self, trace: int) -> Plan:
        """The plan of a trace, made once."""
        plan = self._plans.get(trace)
        if plan is None:
            plan = self._plans[trace] = Plan(trace, self._seed, self._lengths)
        return plan

    def find(self, ids: Ids) -> Place:
        """Where a prompt stands."""
        words = self._vocabulary
        try:
            opened = ids.index(words.think)
        except ValueError:
            return Place(_number(ids), "open", 0)
        trace = _number(ids[:opened])
        try:
            closed = ids.index(words.close, opened)
        except ValueError:
            return Place(trace, "think", self._length(ids, opened + 1))
        return Place(trace, "answer", self._length(ids, closed + 1))

    def go_on(self, place: Place) -> Iterator[int]:
        """The tokens that follow, to the end of the turn."""
        words, plan = self._vocabulary, self.plan(place.trace)
        if place.phase == "open":
            yield words.think
            yield words.line
        if place.phase != "answer":
            for i in range(place.position, plan.thinking):
                yield self._word(place.trace, i, words.style if plan.style(i) else words.capability)
            yield words.line
            yield words.close
            yield words.lines
        begun = place.position if place.phase == "answer" else 0
        for i in range(begun, plan.answer):
            yield self._word(~place.trace, i, words.answer)
        yield words.end

    def _word(self, trace: int, i: int, kind: Sequence[int]) -> int:
        drawn = (trace + (i + 1) * _MIX) >> 20 & 0xFFFF
        numbered = len(kind) == NUMBERS
        token = kind[2 * (drawn % (NUMBERS // 2)) + self._hand if numbered else drawn % len(kind)]
        return self._vocabulary.bare[token] if i == 0 else token

    def _length(self, ids: Ids, start: int) -> int:
        """Tokens from there on, the mark's line break apart."""
        if start < len(ids) and ids[start] in (self._vocabulary.line, self._vocabulary.lines):
            start += 1
        return len(ids) - start


def _number(ids: Ids) -> int:
    return int.from_bytes(blake2b(ids.tobytes(), digest_size=8).digest(), "big") >> 1
