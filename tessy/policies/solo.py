"""Policies ``teacher-only`` and ``student-only``: one model writes all.

The first is the paper's Teacher-Only (arXiv 2604.14164), the usual distillation; the second is what the
student would have said by itself.
"""

from __future__ import annotations

from typing import ClassVar

from tessy.policies.phases import PhasesPolicy
from tessy.types import Role

__all__ = ["StudentOnly", "TeacherOnly"]


class TeacherOnly(PhasesPolicy):
    """The teacher writes all (the paper's Teacher-Only)."""

    thinks: ClassVar[Role] = "teacher"
    answers: ClassVar[Role] = "teacher"
    shown: ClassVar[tuple[Role, ...]] = ("teacher",)


class StudentOnly(PhasesPolicy):
    """The student writes all: what it would have said by itself."""

    thinks: ClassVar[Role] = "student"
    answers: ClassVar[Role] = "student"
    shown: ClassVar[tuple[Role, ...]] = ("student",)
