"""Policies with one fault each, and the test of the suite that must fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.faults import FAILURES, named
from tessy.abc import Context, SwitchPolicy
from tessy.draft import Draft
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.testing.suites import SwitchPolicySuite
from tessy.trajectory import Trajectory
from tessy.types import (
    Cut,
    Done,
    Keep,
    Needs,
    Turn,
)


class Policy(TessyPolicy):
    def __init__(self, options: TessyOptions | None = None) -> None:
        super().__init__(options or TessyOptions())


class Moody(Policy):
    """Changes its mind when asked again."""

    turns = 0

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        self.turns += 1
        return replace(turn, memo=self.turns) if isinstance(turn, Turn) else turn


class Private(Policy):
    """Keeps to itself who is next."""

    def __init__(self, options: TessyOptions | None = None) -> None:
        super().__init__(options)
        self.asked = 0

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        if isinstance(turn, Turn) and turn.phase == "think":
            self.asked += 1
            return replace(turn, role=("teacher", "student")[self.asked % 2])
        return turn


class Tired(Policy):
    """Has had enough after so many turns, as far as it remembers."""

    def __init__(self, options: TessyOptions | None = None) -> None:
        super().__init__(options)
        self.turns = 0

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        self.turns += 1
        return Turn("student", "answer") if isinstance(turn, Turn) and self.turns > 6 else turn


class Meddling(Policy):
    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        trajectory.length += 1
        return super().next_turn(trajectory)


class Tuples(Policy):
    def watch(self, draft: Draft) -> Cut | None:
        cut = super().watch(draft)
        return None if cut is None else replace(cut, note={"places": (cut.at, 1)})


class Arrivals(Policy):
    """Cuts where the stream happens to be."""

    def watch(self, draft: Draft) -> Cut | None:
        return Cut(draft.settled - 1) if draft.settled > 30 and draft.finish is None else None


class Outside(Policy):
    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        return Cut(len(draft) + 5)


class Undeclared(Policy):
    @property
    def needs(self) -> Needs:
        return Needs(roles=("student", "teacher", "judge"), labels=True)

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        return replace(turn, role="critic") if isinstance(turn, Turn) else turn


class Endless(Policy):
    """Answers and answers."""

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        return Turn("student", "answer") if isinstance(turn, Done) else turn


class Giddy(Policy):
    """Wants others at every look."""

    looks = 0

    @property
    def needs(self) -> Needs:
        Giddy.looks += 1
        return Needs(labels=self.looks % 2 == 0)


class Brittle(Policy):
    """Takes for granted that somebody has written something."""

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        return Keep(note=draft.text.split()[0])


class Secretive(Policy):
    def identity(self) -> Mapping[str, Any]:
        return {"folder": str(Path.home() / "policies")}


class Reading(Policy):
    def __init__(self, options: TessyOptions | None = None) -> None:
        super().__init__(options)
        self.table = Path(__file__).read_text()


POLICIES: Sequence[tuple[str, SwitchPolicy]] = [
    ("test_next_turn_is_pure", Moody()),
    ("test_next_turn_is_pure", Private()),
    ("test_next_turn_is_pure", Meddling()),
    ("test_resumed_after_every_turn", Tired()),
    ("test_notes_are_json", Tuples()),
    ("test_the_same_rows_again", Arrivals()),
    ("test_it_finishes_whole_traces", Outside()),
    ("test_it_finishes_whole_traces", Undeclared()),
    ("test_it_finishes_whole_traces", Endless()),
    ("test_needs_are_well_formed", Giddy()),
    ("test_a_silent_model_ends_its_trace", Brittle()),
    ("test_identity_is_safe_to_publish", Secretive()),
    ("test_construction_does_no_work", Reading()),
]


@pytest.mark.parametrize(("name", "policy"), POLICIES, ids=named)
def test_policies(name: str, policy: SwitchPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = getattr(type("TestIt", (SwitchPolicySuite,), {})(), name)
    wanted = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
    names = (
        test.__wrapped__.__code__.co_varnames if hasattr(test, "__wrapped__") else test.__code__.co_varnames
    )
    with pytest.raises(FAILURES):
        test(policy, **{name: value for name, value in wanted.items() if name in names})
