"""Policy ``r2r-entropy``: the teacher writes tokens that the student is unsure of (R2R, arXiv 2505.21600).

R2R's router is a small network over the student's hidden states; this is its entropy rule, which needs
nothing but the student's distribution: a token of too much entropy is written by the teacher.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tessy import Cut, Draft, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.types import Phase
from tessy_cooperation.cooperative import CooperativeOptions, CooperativePolicy
from tessy_cooperation.distributions import entropy
from tessy_cooperation.tokenwise import one_token

__all__ = ["R2REntropyOptions", "R2REntropyPolicy"]


class R2REntropyOptions(CooperativeOptions):
    """Options of policy ``r2r-entropy``."""

    threshold: float = Field(
        default=0.45,
        ge=0,
        description="entropy of the student's next token, in nats, from which on the teacher writes it "
        "(published configuration for DeepSeek-R1-Distill-Qwen 1.5B and 32B: 0.45)",
    )
    alternatives: int = Field(
        default=20,
        ge=2,
        description="tokens that the entropy is taken over, all others as one more (published code: all)",
    )


class R2REntropyPolicy(CooperativePolicy):
    """The student writes, but for single tokens by the teacher."""

    Options: ClassVar[type[Options]] = R2REntropyOptions
    options: R2REntropyOptions

    @property
    def needs(self) -> Needs:
        return Needs(top_logprobs={"student": self.options.alternatives}, shared_vocabulary=True)

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        if (token := one_token(phase, last)) is not None:
            return token
        return Turn("student", phase, top_logprobs=self.options.alternatives, checkpoint=True, memo="route")

    def watch(self, draft: Draft) -> Cut | None:
        if draft.turn.memo is None:
            return None
        for i in draft.fresh:
            unsure = entropy(draft.logprobs[i].top)
            if unsure >= self.options.threshold:
                return Cut(draft.offsets[i], {"entropy": unsure}, "exact")
        return None
