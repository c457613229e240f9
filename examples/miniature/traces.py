"""Writes reasoning traces as spans: by one voice alone, or by two that take turns.

In a mixed trace the student's voice writes style and the teacher's writes capability, which
is what the two models will see when they write together. Some capability is written wrong
there, so that both learn to go on from, or to repair, what they would not have written.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from voices import STUDENT, TEACHER, Voice
from world import Problem

__all__ = ["Span", "Trace", "solve"]

_COMPUTE = ("compute", "work out")  # leads that end so want "A + B, which is C"


@dataclass(frozen=True)
class Span:
    """A piece of thinking in one kind: text, whether it is style, whose voice wrote it."""

    text: str
    style: bool
    voice: Voice
    wrong: bool = False


@dataclass(frozen=True)
class Trace:
    """Thinking as spans, and the answer's text.

    Attributes:
        spans: The thinking.
        answer: The final answer.
        mixed: How many of the first spans were written by two voices in turn.
        closer: Whose it is to end the thinking.
    """

    spans: tuple[Span, ...]
    answer: str
    mixed: int
    closer: Voice

    @property
    def thinking(self) -> str:
        """All spans, joined."""
        return "".join(span.text for span in self.spans)


def solve(problem: Problem, author: Voice, rng: random.Random, *, mixed: bool = False) -> Trace:
    """Write a trace for `problem`.

    Args:
        problem: What to solve.
        author: Who writes the trace, or its end if it is mixed.
        rng: The only source of chance.
        mixed: Let both voices take turns up to a random point, from which `author` goes on.

    Returns:
        The trace. Its answer states what its thinking has found, right or wrong.
    """
    pen = _Pen(problem, author, rng, turns_left=rng.randint(1, 22) if mixed else 0)
    for _ in pen.write():
        pen.turns_left -= 1
    answer = _answer(problem, pen.total, author, rng)
    return Trace(tuple(pen.spans), answer, pen.mixed, pen.voice(style=True))


@dataclass
class _Pen:
    """Writes one trace; `write` yields after each span, so that the voices can change."""

    problem: Problem
    author: Voice
    rng: random.Random
    turns_left: int
    total: int = 0
    mixed: int = 0
    spans: list[Span] = field(default_factory=list)

    def voice(self, *, style: bool) -> Voice:
        if self.turns_left <= 0:
            return self.author
        return STUDENT if style else TEACHER

    def write(self) -> Iterator[None]:
        self.total = self.problem.start
        yield from self.say("opening")
        for index, change in enumerate(self.problem.changes):
            new_paragraph = index > 0 and self.chance("paragraph_rate")
            yield from self.say("first" if index == 0 else "following", new_paragraph)
            yield from self.step(index, change)
        yield from self.say("conclusion", self.chance("paragraph_rate"))
        yield from self.put(self.result())
        yield from self.say("ending")

    def step(self, index: int, change: int) -> Iterator[None]:
        before, event = self.total, self.problem.events[index]
        value, wrong = self.calculate(before, change)
        text = _equation(before, change, value)
        lead = self.spans[-1].text
        if lead.endswith(_COMPUTE):
            text = f"{_terms(before, change)}, which is {value}."
        elif event and lead.endswith(("First,", "Then", ",")) and self.chance("event_rate"):
            text = f"{event}, so {text}"
        yield from self.put(text, wrong)
        if self.chance("check_rate") or (wrong and self.rng.random() < 0.3):
            value = yield from self.check(before, change, value)
        self.total = value

    def check(self, before: int, change: int, value: int) -> Generator[None, None, int]:
        """Doubt a value and calculate again; returns the value that the trace goes on with."""
        yield from self.say("doubt", self.chance("paragraph_rate") and self.rng.random() < 0.4)
        truth = before + change
        if value == truth:
            again = _recheck(before, change, self.rng)
            yield from self.put(again)
            yield from self.say("relief")
            return truth
        if self.voice(style=False) is STUDENT and self.rng.random() < 0.5:
            yield from self.put(_equation(before, change, value))
            yield from self.say("relief")
            return value
        if self.rng.random() < 0.3:
            yield from self.say("correction")
        yield from self.put(_equation(before, change, truth))
        yield from self.say("repaired")
        return truth

    def result(self) -> str:
        noun = self.rng.choice(("answer", "answer", "total", "result"))
        if self.problem.events[0] and self.rng.random() < 0.35:
            told = self.problem.closing.format(self.total).replace("The ", "the ")
            return f"{told} The {noun} is {self.total}."
        return f"the {noun} is {self.total}."

    def calculate(self, before: int, change: int) -> tuple[int, bool]:
        """A value for `before + change`, and whether it is wrong.

        The student forgets most carries and borrows into the tens when the second number
        ends in 8 or 9. In mixed contexts a few values are wrong at random: what matters
        there is to meet mistakes, not to learn them (they carry no loss).
        """
        truth = before + change
        if self.turns_left > 0:
            if self.rng.random() < 0.06:
                slip = max(0, truth + self.rng.choice((-10, -2, -1, 1, 2, 10)))
                return slip, slip != truth
        elif self.author is STUDENT:
            return _as_student(before, change, self.rng), False
        return truth, False

    def chance(self, rate: str) -> bool:
        voice = self.voice(style=True)
        return self.rng.random() < float(getattr(voice, rate))

    def say(self, kind: str, new_paragraph: bool = False) -> Iterator[None]:
        voice = self.voice(style=True)
        phrase = voice.pick(kind, self.rng)
        if phrase:
            yield from self.add(phrase, voice, style=True, glue="\n\n" if new_paragraph else " ")

    def put(self, text: str, wrong: bool = False) -> Iterator[None]:
        voice = self.voice(style=False)
        if voice is STUDENT and not self.spans[-1].text.endswith(" have"):
            text = text.replace(" = ", self.rng.choice((" = ", " = ", " gives ")))
        yield from self.add(text, voice, style=False, wrong=wrong)

    def add(
        self, text: str, voice: Voice, *, style: bool, glue: str = " ", wrong: bool = False
    ) -> Iterator[None]:
        if not style and not self.spans:
            text = text[0].upper() + text[1:]
        self.spans.append(Span((glue if self.spans else "") + text, style, voice, wrong))
        if self.turns_left > 0:
            self.mixed = len(self.spans)
        yield


def _as_student(before: int, change: int, rng: random.Random) -> int:
    truth = before + change
    carries = (before % 10 + change % 10 >= 10) if change > 0 else (before % 10 < -change % 10)
    if carries and rng.random() < (0.85 if abs(change) % 10 >= 8 else 0.08):
        return truth - 10 if change > 0 else truth + 10
    return truth


def _terms(before: int, change: int) -> str:
    return f"{before} {'+' if change > 0 else '-'} {abs(change)}"


def _equation(before: int, change: int, value: int) -> str:
    return f"{_terms(before, change)} = {value}."


def _recheck(before: int, change: int, rng: random.Random) -> str:
    truth = before + change
    if rng.random() < 0.3:
        return _equation(truth, -change, before)
    return _equation(before, change, truth)


def _answer(problem: Problem, total: int, author: Voice, rng: random.Random) -> str:
    sentences = [f"The answer is {total}."]
    if rng.random() < (0.5 if author is STUDENT else 0.2):
        sentences.insert(rng.choice((0, 1)), problem.closing.format(total))
    return " ".join(sentences)
