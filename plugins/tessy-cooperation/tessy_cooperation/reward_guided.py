"""Policy ``reward-guided``: a step is kept if a reward model likes it (RSD, arXiv 2501.19324).

The run's style detector plays the reward model: a **scorer**. It labels text with ``style=False`` and as
``p`` the reward, from 0 to 1; a step's reward is the ``p`` of its last label. To see whole steps it declares
a lookahead longer than they are; the question is in `tessy.Window.prompt`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tessy import Context, Cut, Draft, Keep, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.types import Phase
from tessy_cooperation.cooperative import StepOptions, StepPolicy, keep_words

__all__ = ["RewardGuidedOptions", "RewardGuidedPolicy"]


class RewardGuidedOptions(StepOptions):
    """Options of policy ``reward-guided``."""

    threshold: float = Field(
        default=0.7, ge=0, le=1, description="reward from which on a step of the student is kept (paper: 0.7)"
    )
    step_tokens: int = Field(
        default=2048, ge=1, description="tokens after which a step ends in any case (published code: 2048)"
    )
    answer: Literal["student", "teacher"] = Field(
        default="student",
        description="who writes the answer (paper: both, but detectors see the thinking only)",
    )


class RewardGuidedPolicy(StepPolicy):
    """The student writes; steps of a low reward are the teacher's."""

    Options: ClassVar[type[Options]] = RewardGuidedOptions
    options: RewardGuidedOptions

    @property
    def needs(self) -> Needs:
        return Needs(labels=True)

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        if last is not None and last.note is not None and last.note["rejected"]:
            return self.step("teacher", phase)
        return self.step("student", phase, memo="score", checkpoint=False)

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        if draft.turn.memo is None or not draft.labels:
            return keep_words(draft)
        last = draft.labels[-1]
        if any(label.style for label in draft.labels):
            raise ValueError(
                "the detector says style: reward-guided wants a scorer (--detector), whose labels have "
                "style=False and the reward as p"
            )
        rejected = last.p < self.options.threshold
        note = {"reward": last.p, "rejected": rejected}
        return Cut(0, note) if rejected else keep_words(draft, note)
