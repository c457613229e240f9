"""Policy ``specreason``: the student writes steps, the teacher rates them (SpecReason, arXiv 2504.07891).

Each step of the student gets a rating from 0 to 9, as one token. A step below the threshold is dropped
and written by the teacher, whose own steps are not rated.
"""

from __future__ import annotations

from math import exp
from typing import ClassVar, Literal

from pydantic import Field

from tessy import Context, Cut, Draft, Keep, Message, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.types import Phase
from tessy_cooperation.cooperative import StepOptions, StepPolicy, keep_words
from tessy_cooperation.distributions import Top

__all__ = ["SpecReasonOptions", "SpecReasonPolicy", "rating"]

_ALTERNATIVES = 10
_QUESTION = (
    "Rate the last step of this reasoning: is it correct, and does it follow from what stands before it? "
    "Style and wording do not matter. Reply with one digit, nothing else, from 0 (wrong) to 9 (surely right)."
)


class SpecReasonOptions(StepOptions):
    """Options of policy ``specreason``."""

    threshold: float = Field(
        default=7, ge=0, le=9, description="rating from which on a step of the student is kept (paper: 7)"
    )
    rating: Literal["greedy", "average"] = Field(
        default="greedy", description="the likeliest digit, or the mean of all digits by their probability"
    )


class SpecReasonPolicy(StepPolicy):
    """The student writes; what the teacher rates low, it writes itself."""

    Options: ClassVar[type[Options]] = SpecReasonOptions
    options: SpecReasonOptions

    @property
    def needs(self) -> Needs:
        return Needs(top_logprobs={"teacher": _ALTERNATIVES})

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        if last is not None and last.note is not None and last.note["rejected"]:
            return self.step("teacher", phase)
        return self.step("student", phase, memo="rate", checkpoint=False)

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        if draft.turn.memo is None or not draft.text.strip():
            return keep_words(draft)
        trace = context.trajectory
        reasoning = "\n\n".join(filter(None, (trace.thinking, trace.answer))) + draft.text
        messages = (*context.prompt.messages, Message("assistant", reasoning), Message("user", _QUESTION))
        reply = await context.ask("teacher", messages, max_tokens=1, top_logprobs=_ALTERNATIVES)
        found = rating(reply.logprobs[0].top if reply.logprobs else (), self.options.rating)
        rejected = found < self.options.threshold
        note = {"rating": found, "rejected": rejected}
        return Cut(0, note) if rejected else keep_words(draft, note)


def rating(top: Top, method: str) -> float:
    """The rating that a judge's first token states; 0 where none of its alternatives is a digit."""
    digits: dict[int, float] = {}
    for token, logprob in top:
        if (digit := token.strip()).isdecimal() and len(digit) == 1:
            digits[int(digit)] = digits.get(int(digit), 0.0) + exp(logprob)
    if not digits:
        return 0
    if method == "greedy":
        return max(digits, key=lambda digit: digits[digit])
    return sum(digit * p for digit, p in digits.items()) / sum(digits.values())
