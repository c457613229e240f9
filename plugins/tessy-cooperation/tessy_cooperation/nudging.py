"""Policy ``nudging``: where the teacher is unsure, the student nudges it on (Nudging, arXiv 2410.09300).

The large model (teacher; in the paper a base model) writes as long as its likeliest next token has
probability γ or more. Elsewhere the small, aligned one (student) writes a word, and another, until the large
one is sure again or agrees: its next token begins the word that the small one would write next. Only the
student ends the text.
"""

from __future__ import annotations

from math import exp
from typing import ClassVar

from pydantic import Field

from tessy import Cut, Draft, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.seam import first_word_end
from tessy.types import Phase
from tessy_cooperation.cooperative import CooperativeOptions, CooperativePolicy

__all__ = ["NudgingOptions", "NudgingPolicy"]

_NUDGE, _AHEAD = "nudge", "ahead"


class NudgingOptions(CooperativeOptions):
    """Options of policy ``nudging``."""

    threshold: float = Field(
        default=0.3, ge=0, le=1, description="γ, below which the teacher is unsure (published code: 0.3)"
    )
    nudge_tokens: int = Field(
        default=16, ge=2, description="tokens that a nudge is looked for in (published code: 16)"
    )


class NudgingPolicy(CooperativePolicy):
    """The teacher where it is sure, the student's words elsewhere."""

    Options: ClassVar[type[Options]] = NudgingOptions
    options: NudgingOptions

    @property
    def needs(self) -> Needs:
        return Needs(top_logprobs={"teacher": 1})

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        if last is None or last.role == "teacher":
            return Turn("student", phase, max_tokens=self.options.nudge_tokens, memo=_NUDGE)
        memo = {_AHEAD: last.note[_AHEAD] if last.note is not None else ""}
        return Turn("teacher", phase, top_logprobs=1, checkpoint=True, memo=memo)

    def watch(self, draft: Draft) -> Cut | None:
        if draft.turn.memo is None:
            return None
        return self._nudge(draft) if draft.turn.memo == _NUDGE else self._unsure(draft)

    def _nudge(self, draft: Draft) -> Cut | None:
        """One word, once the next one is known too."""
        starts = draft.token_starts()
        end = first_word_end(draft.text, 0, starts)
        if end is None:
            return None
        following = first_word_end(draft.text, end, starts)
        if following is None and draft.finish != "length":
            return None
        return Cut(end, {_AHEAD: draft.text[end:following]})

    def _unsure(self, draft: Draft) -> Cut | None:
        """Before the first token that the teacher is unsure of; before its end in any case."""
        first = draft.text[: draft.offsets[1] if len(draft.offsets) > 1 else len(draft)]
        for i in draft.fresh:
            at = draft.offsets[i]
            agreed = at == i == 0 and first != "" and draft.turn.memo[_AHEAD].startswith(first)
            if not agreed and exp(draft.logprobs[i].top[0][1]) < self.options.threshold:
                return Cut(at)
        return Cut(len(draft)) if draft.finish in ("end_of_thinking", "end_of_turn") else None
