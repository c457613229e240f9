"""The miniature world: short stories about adding and taking away, and their checker.

A problem is a start and two to four signed changes. Running totals stay in 0..199, so one
step is at most a three-digit sum: small enough for a model of a million parameters, and
with far too many combinations to be learnt by heart. One problem in 50 (by a hash of its
numbers, whatever the story around them) is held out and never shown in training.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass

__all__ = ["Problem", "is_held_out", "is_right", "sample_problem", "stated_answer"]

LIMIT = 199
_HELD_OUT_ONE_IN = 50
_NAMES = ("Tom", "Anna", "Ben", "Mia", "Leo", "Sara", "Max", "Eva")
_ITEMS = ("apples", "books", "coins", "cards", "shells", "stamps", "pens", "marbles")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday")
_GAINS = ("buys", "finds", "gets", "wins")
_LOSSES = ("sells", "loses", "gives away", "uses")
_ANSWER = re.compile(r"(?:answer|total|result) is (-?\d+)")


@dataclass(frozen=True)
class Problem:
    """One problem: what is asked, the numbers behind it, and a phrase for each change.

    Attributes:
        prompt: The question, as a user would type it.
        start: The amount before the first change.
        changes: Signed amounts, in order.
        events: A clause for each change ("Tom buys 12"), or "" where the story has none.
        closing: A sentence that states the answer in the story's own words; it holds "{}".
    """

    prompt: str
    start: int
    changes: tuple[int, ...]
    events: tuple[str, ...]
    closing: str

    @property
    def answer(self) -> int:
        """The amount after the last change."""
        return self.start + sum(self.changes)


def sample_problem(rng: random.Random, *, held_out: bool = False) -> Problem:
    """Draw a problem from the training side of the split, or from the held-out side."""
    while True:
        start = rng.randint(10, 99)
        total, changes = start, []
        for _ in range(rng.choice((2, 3, 3, 4))):
            change = _sample_change(rng, total)
            changes.append(change)
            total += change
        if is_held_out(start, tuple(changes)) == held_out:
            return rng.choice((_story, _story, _bus, _table, _sum))(rng, start, tuple(changes))


def is_held_out(start: int, changes: tuple[int, ...]) -> bool:
    """Whether these numbers are kept for tests. Depends on the numbers alone."""
    return zlib.crc32(repr((start, changes)).encode()) % _HELD_OUT_ONE_IN == 0


def stated_answer(text: str) -> int | None:
    """The last number that `text` gives as its answer, or None."""
    found = _ANSWER.findall(text)
    return int(found[-1]) if found else None


def is_right(problem: Problem, answer_text: str) -> bool:
    """The checker: does this final answer state the right number?"""
    return stated_answer(answer_text) == problem.answer


def _sample_change(rng: random.Random, total: int) -> int:
    while True:
        change = rng.choice((1, -1)) * rng.randint(2, 99)
        if 0 <= total + change <= LIMIT:
            return change


def _story(rng: random.Random, start: int, changes: tuple[int, ...]) -> Problem:
    name, items = rng.choice(_NAMES), rng.choice(_ITEMS)
    events = tuple(
        f"{name} {rng.choice(_GAINS if change > 0 else _LOSSES)} {abs(change)}" for change in changes
    )
    said = " ".join(f"{rng.choice(('', 'Then '))}{event}." for event in events)
    asks = rng.choice(("How many {} does {} have now?", "How many {} does {} have in the end?"))
    prompt = f"{name} has {start} {items}. {said} {asks.format(items, name)}"
    return Problem(prompt, start, changes, events, f"{name} has {{}} {items} now.")


def _bus(rng: random.Random, start: int, changes: tuple[int, ...]) -> Problem:
    events = tuple(f"{abs(c)} people get {'on' if c > 0 else 'off'}" for c in changes)
    stops = " ".join(f"At stop {i}, {event}." for i, event in enumerate(events, 1))
    asks = rng.choice(("How many people are on the bus now?", "How many people stay on the bus?"))
    prompt = f"A bus has {start} people. {stops} {asks}"
    return Problem(prompt, start, changes, events, "The bus has {} people now.")


def _table(rng: random.Random, start: int, changes: tuple[int, ...]) -> Problem:
    items = rng.choice(_ITEMS)
    rows = [f"| {day} | {change:+d} |" for day, change in zip(_DAYS, changes, strict=False)]
    events = tuple(
        f"{day} {'adds' if change > 0 else 'takes'} {abs(change)}"
        for day, change in zip(_DAYS, changes, strict=False)
    )
    table = "\n".join(["| day | change |", "|---|---|", *rows])
    prompt = f"A shop has {start} {items}.\n\n{table}\n\nHow many {items} does the shop have now?"
    return Problem(prompt, start, changes, events, f"The shop has {{}} {items} now.")


def _sum(rng: random.Random, start: int, changes: tuple[int, ...]) -> Problem:
    terms = " ".join(f"{'+' if c > 0 else '-'} {abs(c)}" for c in changes)
    asks = rng.choice(("Compute {}.", "What is {}?"))
    prompt = asks.format(f"{start} {terms}")
    return Problem(prompt, start, changes, ("",) * len(changes), "The value is {}.")
