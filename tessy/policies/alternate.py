"""Policy ``tessy``: the paper's algorithm (TESSY, arXiv 2604.14164, section 3).

The student writes style, the teacher capability. Each streams until the detector sees the first word
of the other kind; the draft is cut there and the other goes on. The student writes the answer.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tessy.draft import Draft
from tessy.policies.isolation import IsolatingPolicy, IsolationOptions
from tessy.seam import first_word_end
from tessy.trajectory import Trajectory
from tessy.types import Cut, Done, Needs, Role, Turn

__all__ = ["TessyOptions", "TessyPolicy"]

_KEEP_A_WORD = "keep a word"
_OTHER: dict[Role, Role] = {"teacher": "student", "student": "teacher"}


class TessyOptions(IsolationOptions):
    """Options of policy ``tessy``."""

    k: int | None = Field(
        default=None,
        ge=1,
        description="tokens after which a draft ends (the paper: 20); default: no limit",
    )
    k_teacher: int | None = Field(
        default=None, ge=1, description="the same for the teacher alone (published script: 10)"
    )
    k_student: int | None = Field(
        default=None, ge=1, description="the same for the student alone (published script: 5)"
    )
    answer: Literal["student", "teacher"] = Field(default="student", description="who writes the answer")
    start: Literal["student", "teacher"] = Field(default="student", description="who writes first")


class TessyPolicy(IsolatingPolicy):
    """Style by the student, capability by the teacher.

    Where the paper drafts k tokens and rolls back, this one watches the stream and aborts it, so no
    ``k`` is needed; with one, a turn also ends after k tokens and the same model goes on.
    """

    Options: ClassVar[type[TessyOptions]] = TessyOptions
    options: TessyOptions

    @property
    def needs(self) -> Needs:
        return Needs(labels=True)

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        if trajectory.phase == "answer":
            return Done() if trajectory.ended == "end_of_turn" else self._answer()
        if trajectory.ended == "end_of_turn":
            return self._answer() if self.options.on_eos == "answer" else Done()
        last = trajectory.last
        if last is None:
            return self._think(self.options.start)
        if not last.cut:
            return self._think(last.role)
        # Two empty turns never follow each other: after one, the next keeps at least a word.
        return self._think(_OTHER[last.role], memo=_KEEP_A_WORD if last.kept == 0 else None)

    def watch(self, draft: Draft) -> Cut | None:
        if draft.phase == "answer":
            return None
        at = draft.first(style=draft.role == "teacher")
        if at is None:
            return None
        if draft.turn.memo == _KEEP_A_WORD:
            word = _word_end(draft, at)
            if word is None or word > draft.settled:
                return None
            if at < word:
                at = word
        return Cut(at) if at < draft.settled else None

    def _think(self, role: Role, *, memo: str | None = None) -> Turn:
        own = self.options.k_teacher if role == "teacher" else self.options.k_student
        return Turn(role, "think", max_tokens=own or self.options.k, checkpoint=True, memo=memo)

    def _answer(self) -> Turn:
        return Turn(self.options.answer, "answer", checkpoint=True)


def _word_end(draft: Draft, at: int) -> int | None:
    """Where a cut wanted at ``at`` leaves at least a word."""
    starts = draft.token_starts()
    if starts and 0 < starts[0] <= at:
        # Resumed: tokens of what is committed are not listed any more, but a word that ended there is one.
        word = first_word_end(draft.text)
        if word is not None and word <= starts[0]:
            return word
    return first_word_end(draft.text, offsets=starts)
