"""A scripted pair for policies whose teacher also answers questions of the policy's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers import WordDetector, rows, run
from helpers import crew as make_crew
from helpers import plan as make_plan
from tessy.abc import Capabilities, SwitchPolicy
from tessy.crew import Crew
from tessy.plan import Outcome
from tessy.plugins import Registry
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.testing.scripted import Script, plan_script
from tessy.types import Finish, Prompt, Request

REGISTRY = Registry.discover()
POLICIES = [
    entry.name for entry in REGISTRY.entries() if entry.kind == "policy" and entry.package == "tessy-llm"
]
FORM = "Score: N"


class Alone(ScriptedBackend):
    """Cannot continue what somebody else began."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(continuation=False, seeds=True)


def policy(name: str, **options: Any) -> SwitchPolicy:
    """A shipped policy."""
    cls = REGISTRY.load("policy", name)
    return cls(cls.Options(**options))


def judging(verdict: Callable[[Prompt, Request], str], options: ScriptedOptions | None = None) -> Script:
    """A script that replies to a rubric with a verdict, and else writes as the scripted teacher does."""
    plain = plan_script("teacher", options or ScriptedOptions())

    def script(prompt: Prompt, request: Request) -> tuple[Any, Finish]:
        if FORM not in prompt.messages[0].content:
            return plain(prompt, request)
        if request.turn.phase == "think":
            return " weighing", "end_of_thinking"
        return verdict(prompt, request), "end_of_turn"

    return script


def by_length(prompt: Prompt, request: Request) -> str:
    """A verdict that follows from the text: deterministic, and seldom twice the same."""
    words = re.findall(r"[sca]\d+", prompt.messages[0].content)
    return f"It is what it is.\n\nScore: {1 + sum(int(word[1:]) for word in words) % 10}"


def crew(made: SwitchPolicy, verdict: Callable[[Prompt, Request], str] = by_length, **options: Any) -> Crew:
    """The policy with a scripted pair; backends stand alone unless they must continue."""
    scripted = ScriptedOptions(**options)
    teacher, student = (
        (ScriptedBackend if role in made.needs.continues else Alone) for role in ("teacher", "student")
    )
    return make_crew(
        made,
        teacher=teacher("teacher", scripted, script=judging(verdict, scripted)),
        student=student("student", scripted),
        detector=WordDetector(WordDetector.Options()),
    )


def write(folder: Path, prompts: Path, made: Crew, **fields: Any) -> tuple[Outcome, list[dict[str, Any]]]:
    """Run; the outcome and the finished rows."""
    outcome = run(make_plan(folder, prompts, made, **fields))
    return outcome, rows(folder)


def authors(row: dict[str, Any], phase: str) -> set[str]:
    """Who wrote a phase of a row."""
    return {span["author"] for span in row["tessy"]["spans"] if span["phase"] == phase}
