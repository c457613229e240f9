"""One model writes all: the paper's Teacher-Only, and the student by itself."""

from __future__ import annotations

from typing import ClassVar

from tessy.abc import SwitchPolicy
from tessy.policies.options import ThinkingOptions
from tessy.trajectory import Trajectory
from tessy.types import Done, Needs, Turn

__all__ = ["StudentOnly", "TeacherOnly"]


class _Solo(SwitchPolicy):
    """Thinking and answer in one model's own hand; it never has to continue another's text."""

    Options: ClassVar[type[ThinkingOptions]] = ThinkingOptions
    options: ThinkingOptions
    role: ClassVar[str]

    @property
    def needs(self) -> Needs:
        return Needs(roles=(self.role,), continues=())

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        match trajectory.phase, trajectory.ended:
            case "answer", "end_of_turn":
                return Done()
            case "think", "end_of_turn":
                if self.options.on_eos == "fail":
                    return Done()
                return Turn(self.role, "answer", checkpoint=True)
            case phase, _:
                return Turn(self.role, phase, checkpoint=True)


class TeacherOnly(_Solo):
    """The teacher writes all (the paper's Teacher-Only)."""

    role = "teacher"


class StudentOnly(_Solo):
    """The student writes all: what it would have said by itself."""

    role = "student"
