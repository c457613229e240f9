"""Policy ``teacher-mix``: the paper's Teacher-Mix (arXiv 2604.14164).

A share of the prompts, half of them by default, is written by the teacher alone, the rest by the student
alone. Which one a row gets follows from the run's seed, its id and its sample: so it is the same after a
resume, in any order of the prompts, and in any part of them.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tessy.policies.isolation import IsolationOptions
from tessy.policies.phases import PhasesPolicy
from tessy.seeds import derive
from tessy.trajectory import Trajectory
from tessy.types import Needs, Role

__all__ = ["TeacherMix", "TeacherMixOptions"]


class TeacherMixOptions(IsolationOptions):
    """Options of policy ``teacher-mix``."""

    ratio: float = Field(
        default=0.5, ge=0, le=1, allow_inf_nan=False, description="share of the rows that the teacher writes"
    )


class TeacherMix(PhasesPolicy):
    """Some rows by the teacher alone, the others by the student alone."""

    Options: ClassVar[type[TeacherMixOptions]] = TeacherMixOptions
    options: TeacherMixOptions

    @property
    def needs(self) -> Needs:
        shares = {"teacher": self.options.ratio, "student": 1 - self.options.ratio}
        return Needs(roles=tuple(role for role, share in shares.items() if share > 0), continues=())

    def authors(self, trajectory: Trajectory) -> tuple[Role, Role]:
        drawn = derive(trajectory.seed, trajectory.row, trajectory.sample, "teacher-mix")
        role = "teacher" if drawn < self.options.ratio * 2**63 else "student"
        return role, role
