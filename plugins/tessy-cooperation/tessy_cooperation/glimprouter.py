"""Policy ``glimprouter``: who writes a step follows from its first token (GlimpRouter, arXiv 2601.05110).

The student begins each step. If its distribution over the first token has too much entropy, the step is
the teacher's; if not, the student, which is writing already, goes on.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tessy import Context, Cut, Draft, Keep, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.types import Phase
from tessy_cooperation.cooperative import StepOptions, StepPolicy, keep_words
from tessy_cooperation.distributions import entropy

__all__ = ["GlimpRouterOptions", "GlimpRouterPolicy"]


class GlimpRouterOptions(StepOptions):
    """Options of policy ``glimprouter``."""

    threshold: float = Field(
        default=1.0,
        ge=0,
        description="entropy of a step's first token, in nats, from which on the teacher writes the step "
        "(published code: 1.0, its example 0.9; the paper's own figures were not checked)",
    )
    alternatives: int = Field(
        default=20, ge=2, description="tokens that the entropy is taken over (published code: 20)"
    )
    answer: Literal["together", "student", "teacher"] = Field(
        default="teacher",
        description="who writes the answer (paper: the large model): one model, or both by the rule",
    )


class GlimpRouterPolicy(StepPolicy):
    """The student where a step begins surely, the teacher elsewhere."""

    Options: ClassVar[type[Options]] = GlimpRouterOptions
    options: GlimpRouterOptions

    @property
    def needs(self) -> Needs:
        return Needs(top_logprobs={"student": self.options.alternatives})

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        if last is not None and last.note is not None:
            return self.step("teacher", phase)
        return self.step("student", phase, memo="glimpse", top_logprobs=self.options.alternatives)

    def watch(self, draft: Draft) -> Cut | None:
        first = draft.turn.memo is not None and 0 in draft.fresh and draft.offsets[0] == 0
        if not first:
            return None
        unsure = entropy(draft.logprobs[0].top, rest=False)
        return Cut(0, {"entropy": unsure}, "exact") if unsure >= self.options.threshold else None

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        return keep_words(draft)
