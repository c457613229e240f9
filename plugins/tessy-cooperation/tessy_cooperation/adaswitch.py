"""Policy ``adaswitch``: the student begins, the teacher takes over once (AdaSwitch, arXiv 2510.07842).

At each token i, dᵢ = KL(teacher ‖ student) of the next-token distributions. Where dᵢ exceeds K times the mean
of the last L before it, the teacher writes that token and all that follows.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tessy import Context, Cut, Draft, Keep, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.types import Phase
from tessy_cooperation.cooperative import CooperativeOptions, CooperativePolicy
from tessy_cooperation.distributions import divergence

__all__ = ["AdaSwitchOptions", "AdaSwitchPolicy"]

_OURS = "a choice of ours: the paper's figure could not be checked"


class AdaSwitchOptions(CooperativeOptions):
    """Options of policy ``adaswitch``."""

    factor: float = Field(default=3.0, gt=0, description=f"K, how far above the mean is too far ({_OURS})")
    window: int = Field(default=10, ge=1, description=f"L, tokens that the mean is taken over ({_OURS})")
    least: float = Field(
        default=0.0, ge=0, description="a divergence below this, in nats, never switches (not in the paper)"
    )
    alternatives: int = Field(default=20, ge=1, description="tokens of a distribution that are looked at")
    block: int = Field(default=16, ge=1, description="tokens that the student drafts between two looks")


class AdaSwitchPolicy(CooperativePolicy):
    """The student as long as the two agree as well as before, then the teacher."""

    Options: ClassVar[type[Options]] = AdaSwitchOptions
    options: AdaSwitchOptions

    @property
    def needs(self) -> Needs:
        most = self.options.alternatives
        return Needs(
            top_logprobs={"student": most},
            scores=("teacher",),
            score_alternatives={"teacher": most},
            shared_vocabulary=True,
        )

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        before = trajectory.last
        if before is not None and (before.role == "teacher" or before.cut):
            return Turn("teacher", phase, checkpoint=True)
        recent = before.note["recent"] if before is not None and before.note is not None else []
        options = self.options
        return Turn(
            "student", phase, max_tokens=options.block, top_logprobs=options.alternatives, memo=recent
        )

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        if draft.turn.memo is None:
            return Keep()
        options, recent = self.options, list(draft.turn.memo)
        scores = await context.score("teacher", draft.text, top=options.alternatives)
        theirs = dict(zip(scores.offsets, scores.logprobs, strict=True))
        for at, own in zip(draft.offsets, draft.logprobs, strict=True):
            if at not in theirs:  # the end, or a token that the teacher would divide otherwise
                continue
            found = divergence(theirs[at].top, own.top)
            too_far = options.factor * sum(recent) / options.window
            if len(recent) == options.window and found > max(too_far, options.least):
                return Cut(at, {"divergence": found, "recent": recent}, "exact")
            recent = [*recent, found][-options.window :]
        return Keep({"recent": recent})
