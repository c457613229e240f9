"""Samples: each model's own thinking, cut into segments to annotate.

The traces are written by an ordinary run with a policy that stops where the answer would begin, so they
can be resumed in mid-trace, retried and inspected like any run.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import orjson

from tessy.abc import Options, SwitchPolicy
from tessy.boundary import Origin
from tessy.dataset import DATA, FAILURES
from tessy.labelling.segments import Segment
from tessy.plan import Plan
from tessy.seeds import derive
from tessy.trajectory import Trajectory
from tessy.types import Done, Needs, Role, Turn

__all__ = ["THINKING", "Thinking", "cut", "sampled", "thinking_plan", "traces"]

THINKING = "thinking-only"
"""The policy's name."""
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORDS = re.compile(rf"\s*(?:[{_CJK}]|[^\s{_CJK}]+)")


class ThinkingOptions(Options):
    """Whose thinking."""

    role: Role


class Thinking(SwitchPolicy):
    """One model thinks, to the end of its thinking or the limit; no answer is written."""

    Options: ClassVar[type[ThinkingOptions]] = ThinkingOptions
    options: ThinkingOptions

    @property
    def needs(self) -> Needs:
        return Needs(roles=(self.options.role,), continues=())

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        return Turn(self.options.role, checkpoint=True) if trajectory.ended is None else Done()


def thinking_plan(plan: Plan, role: Role, folder: Path) -> Plan:
    """The run that samples ``role``'s thinking into ``folder``, with another plan's backends."""
    crew = replace(
        plan.crew,
        policy=Thinking(ThinkingOptions(role=role)),
        policy_origin=Origin("policy", THINKING),
        detection=None,
    )
    resolved = {name: value for name, value in plan.resolved.items() if name not in ("policy", "detector")}
    return replace(plan, crew=crew, policy=THINKING, detector=None, folder=folder, resolved=resolved)


def traces(folder: Path) -> Iterator[tuple[str, str]]:
    """Id and thinking of every trace of a run, of unfinished rows as far as it was written."""
    for name in (DATA, FAILURES):
        path = folder / name
        with path.open("rb") as file:
            for line in file:
                row = orjson.loads(line)
                thinking = _thinking(row) if name == DATA else row["partial"]["thinking"]
                yield str(row["id"]), thinking


def sampled(
    folder: Path, author: Role, *, model: str, words: int = 60, limit: int | None = None, seed: int = 0
) -> list[Segment]:
    """Segments of a run's traces: all, or ``limit`` of them drawn at random by ``seed``, in order."""
    segments = [
        Segment(f"{id}/{author}/{n}", text, model=model, author=author)
        for id, thinking in traces(folder)
        for n, text in enumerate(cut(thinking, words))
    ]
    if limit is None or limit >= len(segments):
        return segments
    chosen = random.Random(derive(seed, author)).sample(range(len(segments)), limit)
    return [segments[i] for i in sorted(chosen)]


def cut(text: str, words: int) -> Iterator[str]:
    """Pieces of so many words, verbatim, without white space around; a short rest is left out.

    Where words are not set apart (Chinese, Japanese), each character counts as one. A rest of less than a
    third of the words says little. But a text is never left out as a whole.
    """
    ends = [match.end() for match in _WORDS.finditer(text)]
    for first in range(0, len(ends), words):
        last = min(first + words, len(ends))
        if first and 3 * (last - first) < words:
            return
        yield text[ends[first - 1] if first else 0 : ends[last - 1]].strip()


def _thinking(row: Mapping[str, Any]) -> str:
    content, spans = row["messages"][-1]["content"], row["tessy"]["spans"]
    return "".join(content[span["start"] : span["end"]] for span in spans if span["phase"] == "think")
