"""A rubric: the question that a judge is asked about a trace, and the number read from its reply."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import Field, field_validator

from tessy.abc import Context
from tessy.errors import BackendRejected
from tessy.policies.isolation import IsolationOptions
from tessy.policies.templates import as_text, check_places, fill
from tessy.trajectory import Trajectory
from tessy.types import Message, Role

__all__ = ["JudgingOptions", "Rubric", "Verdict", "judge"]

_RUBRIC = """You are to judge how well a task was solved.

<task>
{prompt}
</task>

<reasoning>
{thinking}
</reasoning>

<answer>
{answer}
</answer>

Ask yourself: Is the answer right, and does it give all that the task wants, in the form that it wants? \
Does each step of the reasoning follow, and does the answer follow from them? Is there anything invented, or \
left in doubt that could have been settled? Correctness counts most; neither length nor tone does.

10 stands for a flawless solution, 7 for a right answer with faults in the reasoning, 4 for a wrong answer \
after sound ideas, 1 for nothing of use. Say in a few sentences what decides it. Then end with one line in \
exactly this form, N being a whole number from 1 to 10:

Score: {score}"""
_REMINDER = """That did not end with the line that was asked for. Reply with it alone, N being your number:

{form}"""
_NUMBER = r"\s*(10|[1-9])\s*"
_EMPHASIS = str.maketrans("", "", "*`")
_QUOTED = 300
"""Characters of a judge's reply that a message shows."""


class JudgingOptions(IsolationOptions):
    """Options of policies that have a trace judged."""

    rubric: str = Field(
        default=_RUBRIC,
        description="the question: {prompt}, {thinking}, {answer}, and {score} as the reply must end",
    )
    think: bool = Field(default=True, description="whether the judge thinks first")
    max_tokens: int = Field(default=1000, ge=1, description="longest reply, without its thinking")
    tries: int = Field(default=3, ge=1, description="how often it is asked for one score")

    @field_validator("rubric")
    @classmethod
    def _check_rubric(cls, rubric: str) -> str:
        Rubric(rubric)
        return rubric


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's score from 1 to 10, ``None`` if it gave none, and the end of what it said last."""

    score: int | None
    said: str


class Rubric:
    """A text with places: ``{score}`` where the number goes, ``{prompt}``, ``{thinking}``, ``{answer}``.

    The line with ``{score}`` is the form of the reply's last line; the judge sees ``N`` for the number.

    Raises:
        ValueError: a place is missing.
    """

    def __init__(self, text: str = _RUBRIC) -> None:
        self._text = check_places(text, "score")
        lines = [line for line in text.splitlines() if "{score}" in line]
        if len(lines) > 1 or lines[0].count("{score}") > 1:
            raise ValueError("has {score} more than once")
        if "{answer}" not in text and "{thinking}" not in text:
            raise ValueError("shows the judge nothing to score; it needs {answer} or {thinking}")
        before, _, after = _plain(lines[0]).partition("{score}")
        self._form = re.compile(re.escape(before.strip()) + _NUMBER + re.escape(after.strip()), re.IGNORECASE)
        self.form: str = fill(lines[0].strip(), score="N")
        """The line that a reply must end with."""

    def question(self, trajectory: Trajectory) -> str:
        """What the judge is asked about a trace."""
        return fill(
            self._text,
            prompt=as_text(trajectory.prompt),
            thinking=trajectory.thinking,
            answer=trajectory.answer,
            score="N",
        )

    def read(self, reply: str) -> int | None:
        """The number from 1 to 10 in the reply's last line; ``None`` if that is not of the form."""
        lines = _plain(reply).strip().splitlines()
        found = self._form.fullmatch(lines[-1].strip()) if lines else None
        return int(found[1]) if found else None


async def judge(trajectory: Trajectory, context: Context, role: Role, options: JudgingOptions) -> Verdict:
    """What ``role``'s model makes of a trace; reminded of the form if its reply does not have it.

    Raises:
        BackendError: it cannot be asked. One that refuses the question gives no score.
    """
    rubric = Rubric(options.rubric)
    asked = [Message("user", rubric.question(trajectory))]
    said = ""
    for _ in range(options.tries):
        try:
            reply = await context.ask(role, asked, think=options.think, max_tokens=options.max_tokens)
        except BackendRejected as error:  # too long for its context, say
            return Verdict(None, str(error))
        said = reply.text
        if reply.finish == "end_of_turn" and (score := rubric.read(said)) is not None:
            return Verdict(score, said[-_QUOTED:])
        if said.strip():
            reminder = fill(_REMINDER, form=rubric.form)
            asked = [asked[0], Message("assistant", said), Message("user", reminder)]
    return Verdict(None, said[-_QUOTED:])


def _plain(text: str) -> str:
    """Without Markdown's emphasis, which says nothing."""
    return text.translate(_EMPHASIS)
