"""Policy ``skd``: the teacher replaces tokens it would hardly write (SKD, arXiv 2410.11325).

The student drafts a few tokens at a time. The first one that is not among the teacher's K likeliest at its
place is dropped, with all that follows, and the teacher writes one in its stead.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tessy import Context, Cut, Draft, Keep, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.types import Phase
from tessy_cooperation.cooperative import CooperativeOptions, CooperativePolicy
from tessy_cooperation.tokenwise import one_token

__all__ = ["SkdOptions", "SkdPolicy"]


class SkdOptions(CooperativeOptions):
    """Options of policy ``skd``."""

    top: int = Field(
        default=25, ge=1, description="a token stays if it is among so many of the teacher's (paper: K = 25)"
    )
    draft_tokens: int = Field(
        default=5,
        ge=1,
        description="tokens that the student drafts between two looks (γ = 5, not checked against the paper)",
    )


class SkdPolicy(CooperativePolicy):
    """The student writes, within what the teacher finds likely."""

    Options: ClassVar[type[Options]] = SkdOptions
    options: SkdOptions

    @property
    def needs(self) -> Needs:
        most = self.options.top
        return Needs(scores=("teacher",), score_alternatives={"teacher": most}, shared_vocabulary=True)

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        if (token := one_token(phase, last)) is not None:
            return token
        return Turn("student", phase, max_tokens=self.options.draft_tokens, memo="draft")

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        if draft.turn.memo is None or not draft.text:
            return Keep()
        most = self.options.top
        scores = await context.score("teacher", draft.text, top=most)
        for at, token in zip(scores.offsets, scores.logprobs, strict=True):
            if len(token.top) == most and token.logprob < token.top[-1][1]:
                return Cut(at, {"logprob": token.logprob, "least": token.top[-1][1]}, "exact")
        return Keep()
