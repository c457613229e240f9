"""Policy ``teacher-answer``: the paper's Teacher-Answer (arXiv 2604.14164).

The student thinks to the end of its thinking, and the teacher answers from there.
"""

from __future__ import annotations

from typing import ClassVar

from tessy.policies.phases import PhasesPolicy
from tessy.types import Role

__all__ = ["TeacherAnswer"]


class TeacherAnswer(PhasesPolicy):
    """The student thinks, the teacher answers."""

    thinks: ClassVar[Role] = "student"
    answers: ClassVar[Role] = "teacher"
