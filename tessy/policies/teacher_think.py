"""Policy ``teacher-think``: the paper's Teacher-Think (arXiv 2604.14164).

The teacher thinks to the end of its thinking, and the student answers from there.
"""

from __future__ import annotations

from typing import ClassVar

from tessy.policies.phases import PhasesPolicy
from tessy.types import Role

__all__ = ["TeacherThink"]


class TeacherThink(PhasesPolicy):
    """The teacher thinks, the student answers."""

    thinks: ClassVar[Role] = "teacher"
    answers: ClassVar[Role] = "student"
