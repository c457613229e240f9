"""Policies that use what the shipped ones leave aside: notes, candidates, stop strings, cuts in a review."""

from __future__ import annotations

from collections.abc import Sequence

from tessy.abc import Context, Options, SwitchPolicy
from tessy.draft import Draft
from tessy.trajectory import Trajectory
from tessy.types import Cut, Done, Keep, Needs, Selected, Turn

__all__ = ["BestOf", "Reviewing", "Stops"]


class BestOf(SwitchPolicy):
    """Three candidates by the student; the teacher's answer to a question goes into the note."""

    def __init__(self) -> None:
        super().__init__(Options())

    @property
    def needs(self) -> Needs:
        return Needs(continues=())

    @property
    def candidates(self) -> int:
        return 3

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if trajectory.ended == "end_of_turn":
            return Done()
        return Turn("student", trajectory.phase, checkpoint=True)

    async def select(self, trajectories: Sequence[Trajectory], context: Context) -> Selected:
        reply = await context.ask("teacher", context.prompt.messages, max_tokens=2)
        return Selected(trajectories[-1].candidate, {"said": reply.text}, keep_others=True)


class Reviewing(SwitchPolicy):
    """Turns of seven tokens by turns; every third is cut back, and a number is carried along in the notes."""

    def __init__(self) -> None:
        super().__init__(Options())

    @property
    def needs(self) -> Needs:
        return Needs(continues=("teacher", "student"))

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if trajectory.ended == "end_of_turn":
            return Done()
        n = len(trajectory.turns)
        role = "student" if trajectory.phase == "answer" or n % 2 == 0 else "teacher"
        return Turn(role, trajectory.phase, max_tokens=7)

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        turns = context.trajectory.turns
        carried = (turns[-1].note or {}).get("carried", 0) + 1 if turns else 1
        if draft.phase == "think" and carried % 3 == 0:
            reply = await context.ask("teacher", context.prompt.messages, max_tokens=1)
            return Cut(max(1, len(draft) // 2), {"carried": carried, "said": reply.text})
        return Keep({"carried": carried})


class Stops(SwitchPolicy):
    """The student thinks up to stop strings that its text is full of."""

    def __init__(self) -> None:
        super().__init__(Options())

    @property
    def needs(self) -> Needs:
        return Needs(roles=("student",), continues=())

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if trajectory.ended == "end_of_turn":
            return Done()
        return Turn("student", trajectory.phase, checkpoint=True, stop=("wait,", "1 c", "🙂"))
