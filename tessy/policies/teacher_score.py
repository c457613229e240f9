"""Policy ``teacher-score``: the paper's Teacher-Score, or rejection sampling (arXiv 2604.14164).

The student writes several candidates, 5 in the paper; the teacher scores each, and the best is kept. Rubric
and scale are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from tessy.abc import Context
from tessy.errors import TraceError
from tessy.policies.phases import PhasesPolicy
from tessy.policies.rubric import JudgingOptions, judge
from tessy.seeds import derive
from tessy.trajectory import Trajectory
from tessy.types import Needs, Role, Selected

__all__ = ["TeacherScore", "TeacherScoreOptions"]


class TeacherScoreOptions(JudgingOptions):
    """Options of policy ``teacher-score``."""

    candidates: int = Field(default=5, ge=2, description="how many the student writes for a row")
    ties: Literal["first", "shorter", "random"] = Field(
        default="first", description="of the best: the first, the shortest, or one drawn by the seed"
    )
    keep_others: bool = Field(default=False, description="the row shows the other candidates too")


class TeacherScore(PhasesPolicy):
    """The best of several texts by the student, in the teacher's eyes."""

    Options: ClassVar[type[TeacherScoreOptions]] = TeacherScoreOptions
    options: TeacherScoreOptions
    thinks: ClassVar[Role] = "student"
    answers: ClassVar[Role] = "student"
    shown: ClassVar[tuple[Role, ...]] = ("student",)

    @property
    def needs(self) -> Needs:
        return Needs(continues=())

    @property
    def candidates(self) -> int:
        return self.options.candidates

    async def select(self, trajectories: Sequence[Trajectory], context: Context) -> Selected:
        # One after the other: a question's seed follows from its number.
        verdicts = [await judge(one, context, "teacher", self.options) for one in trajectories]
        best = max((one.score for one in verdicts if one.score is not None), default=None)
        if best is None:
            said = verdicts[-1].said
            raise TraceError("no_score", f"the teacher gave no candidate a score; it said: {said!r}")
        judged = list(zip(trajectories, verdicts, strict=True))
        chosen = self._one_of([t for t, one in judged if one.score == best])
        scores = [{"candidate": t.candidate, "score": one.score} for t, one in judged]
        return Selected(chosen.candidate, {"scores": scores}, keep_others=self.options.keep_others)

    def _one_of(self, tied: Sequence[Trajectory]) -> Trajectory:
        first = tied[0]
        if self.options.ties == "shorter":
            return min(tied, key=lambda trajectory: trajectory.length)
        if self.options.ties == "random":
            return tied[derive(first.seed, first.row, first.sample, "teacher-score") % len(tied)]
        return first
