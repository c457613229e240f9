"""What the methods have in common: one rule for the thinking and, if wanted, for the answer."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from pydantic import Field

from tessy import Cut, Done, Draft, Keep, Options, SwitchPolicy, Trajectory, Turn, TurnRecord
from tessy.seam import place
from tessy.types import Json, Phase, Role

__all__ = ["CooperativeOptions", "CooperativePolicy", "StepOptions", "StepPolicy", "keep_words"]


class CooperativeOptions(Options):
    """Options that all methods have."""

    answer: Literal["together", "student", "teacher"] = Field(
        default="together",
        description="who writes the answer: both, by the rule of the thinking, or one model",
    )
    on_eos: Literal["fail", "answer"] = Field(
        default="fail",
        description="an end of turn inside the thinking: a failure, or taken for the end of the thinking",
    )


class CooperativePolicy(SwitchPolicy):
    """A method says whose turn it is (`turn`) and decides about drafts whose turn carries a memo."""

    Options: ClassVar[type[Options]] = CooperativeOptions
    options: CooperativeOptions

    @abstractmethod
    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        """Who goes on in ``phase``; ``last`` is the turn before, if it was of the same phase."""

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        phase, last, answer = trajectory.phase, trajectory.last, self.options.answer
        if trajectory.ended == "end_of_turn":
            if phase == "answer" or self.options.on_eos == "fail":
                return Done()
            phase = "answer"
        if phase == "answer" and answer != "together":
            return Turn(answer, "answer", checkpoint=True)
        return self.turn(trajectory, phase, last if last is not None and last.phase == phase else None)


class StepOptions(CooperativeOptions):
    """Options of methods that decide about whole steps."""

    step_end: str = Field(default="\n\n", min_length=1, description="what ends a step; default: a blank line")
    step_tokens: int = Field(
        default=512, ge=1, description="tokens after which a step ends in any case (published code: 512)"
    )


class StepPolicy(CooperativePolicy):
    """A method whose unit is a step."""

    Options: ClassVar[type[Options]] = StepOptions
    options: StepOptions

    def step(
        self, role: Role, phase: Phase, *, memo: Json = None, top_logprobs: int = 0, checkpoint: bool = True
    ) -> Turn:
        """The next step by ``role``. Leave ``checkpoint`` off if the step may be rejected at its end."""
        options = self.options
        return Turn(
            role,
            phase,
            max_tokens=options.step_tokens,
            stop=(options.step_end,),
            top_logprobs=top_logprobs,
            checkpoint=checkpoint,
            memo=memo,
        )


def keep_words(draft: Draft, note: Json = None) -> Keep | Cut:
    """Keep a draft, but for the word in whose middle a token limit may have ended it.

    The next writer may have another vocabulary, and could not go on from half a word.
    """
    if draft.finish == "length":
        at = place(draft.text, len(draft) - 1, draft.token_starts())
        if max(0, draft.committed) < at < len(draft):
            return Cut(at, note)
    return Keep(note)
