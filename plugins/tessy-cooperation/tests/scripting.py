"""Pairs of scripted models whose every word, and how sure they are of it, is stated by the test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log
from pathlib import Path
from typing import Any

from tessy import Prompt, Request, StyleDetector, SwitchPolicy
from tessy.testing import ScriptedBackend, run_virtual
from tessy.testing.scripted import Odds, Script
from tessy.testing.suites.runs import Cast, Trace, Watcher, traces, write
from tessy.types import Finish


def says(thinking: Mapping[str, str] | str, answer: str = " done") -> Script:
    """What a model writes, to the end of its thinking or answer.

    A mapping says what it thinks after what stands there. A text is a plan: the model writes what of it is
    not written yet, whoever wrote the beginning; so it is with the answer, word by word.
    """

    def script(prompt: Prompt, request: Request) -> tuple[str, Finish]:
        if request.turn.phase == "answer":
            words = [f" {word}" for word in answer.split()]
            return "".join(words[len(request.answer.split()) :]), "end_of_turn"
        so_far = request.thinking
        if isinstance(thinking, str):
            assert len(so_far) <= len(thinking), f"more than the plan: {so_far!r}"
            return thinking[len(so_far) :], "end_of_thinking"
        assert so_far in thinking, f"nobody said what {request.turn.role} writes after {so_far!r}"
        return thinking[so_far], "end_of_thinking"

    return script


def judges(ratings: Mapping[str, str], writes: Script) -> Script:
    """A model that also rates: the first word of its rating of a text that ends with that step."""

    def script(prompt: Prompt, request: Request) -> tuple[str | Iterable[str], Finish]:
        if not prompt.messages[-1].content.startswith("Rate "):
            return writes(prompt, request)
        text = prompt.messages[-2].content
        return next(rating for step, rating in ratings.items() if text.endswith(step)), "end_of_turn"

    return script


def sure(**p: float) -> Odds:
    """Certain of every word but those named, which have the probability given; what else there is: one word.

    The end of the thinking is named ``END``.
    """

    def odds(so_far: str, word: str) -> dict[str, float]:
        own = p.get(word.strip() or "END", 1.0)
        return {word: own, " something": 1 - own} if own < 1 else {word: 1.0}

    return odds


def model(role: str, script: Script, odds: Odds | None = None) -> ScriptedBackend:
    """One of the pair."""
    return ScriptedBackend(role, script=script, odds=odds or sure())


def write_one(
    folder: Path,
    policy: SwitchPolicy,
    teacher: ScriptedBackend,
    student: ScriptedBackend,
    detector: StyleDetector | None = None,
    *,
    torn: bool = False,
) -> Trace:
    """One row, as the journal has it. ``torn``: the run is interrupted after every turn, and goes on."""
    outcome = None
    while outcome is None:
        watcher = Watcher(stop_after=1 if torn else None)
        # A new policy each time: all it knows comes from the journal.
        cast = Cast(type(policy)(policy.options), {"teacher": teacher, "student": student}, detector)
        outcome = run_virtual(write(folder, cast, watcher, rows=1))
        assert not watcher.failures, watcher.failures[0].message
    assert outcome.done == 1
    (trace,) = traces(folder)
    return trace


def shown(trace: Trace, phase: str = "think") -> list[tuple[str, str]]:
    """Who wrote what in each turn, also in those that kept nothing."""
    texts: dict[int, str] = {}
    for span in trace.spans:
        texts[span.turn] = texts.get(span.turn, "") + span.text
    return [(turn.role, texts.get(turn.n, "")) for turn in trace.turns if turn.phase == phase]


def notes(trace: Trace) -> list[Any]:
    """What the policy remembered of each turn of the thinking."""
    return [turn.note for turn in trace.turns if turn.phase == "think"]


def nats(*p: float) -> float:
    """The entropy of a distribution."""
    return -sum(one * log(one) for one in p)
