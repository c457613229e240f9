"""What users write, for the type checkers: `test_typing` runs mypy and pyright over it, strictly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import tessy
from tessy import Context, Cut, Done, Draft, Keep, Label, Needs, Options, Trajectory, Turn, Window
from tessy.config import RunConfig
from tessy.plan import Outcome
from tessy.testing import ScriptedBackend


class EveryOtherOptions(Options):
    words: int = 5


class EveryOther(tessy.SwitchPolicy):
    Options = EveryOtherOptions
    options: EveryOtherOptions

    @property
    def needs(self) -> Needs:
        return Needs(top_logprobs={"student": 5})

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        last = trajectory.last
        if trajectory.ended == "end_of_turn":
            return Done()
        role = "teacher" if last is not None and last.role == "student" else "student"
        return Turn(role, trajectory.phase, max_tokens=self.options.words)

    def watch(self, draft: Draft) -> Cut | None:
        return Cut(draft.settled - 1) if draft.settled > 100 else None

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        reply = await context.ask("teacher", context.prompt.messages, max_tokens=1)
        assert_type(reply.text, str)
        return Keep({"said": reply.text})


class Nothing(tessy.StyleDetector):
    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return [[Label(w.new_from, len(w.text), False)] for w in windows]


async def notebook() -> None:
    row = await tessy.generate("Why?", teacher="scripted:t", student=ScriptedBackend("s"))
    assert_type(row, dict[str, Any])
    await tessy.generate("Why?", policy=EveryOther(EveryOtherOptions()), backends={"all": "scripted:m"})
    async for one in tessy.stream(["a", {"prompt": "b"}], RunConfig(seed=3), detector=Nothing):
        assert_type(one, dict[str, Any])
    async for one in tessy.stream("prompts.jsonl", "run.yaml", on_failure="yield"):
        print(one["id"])
    assert_type(await tessy.run_async({"seed": 1}, output="runs/a"), list[Outcome])


def script() -> None:
    for outcome in tessy.run("run.yaml", policy=["tessy", EveryOther], limit=10):
        assert_type(outcome.done, int)
