"""Policy ``teacher-reference``: the paper's Teacher-Reference, or self-distillation (arXiv 2604.14164).

The teacher writes a reference answer; the student, shown it, writes thinking and answer. The row stores the
prompt as it was, and the reference under ``tessy.prepared``. The wording of the instruction is ours.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from tessy.abc import Context
from tessy.errors import TraceError
from tessy.policies.isolation import IsolationOptions
from tessy.policies.phases import PhasesPolicy
from tessy.policies.templates import check_places, fill
from tessy.types import Message, Needs, Prepared, Prompt, Role

__all__ = ["TeacherReference", "TeacherReferenceOptions"]

_TEMPLATE = """{prompt}

Somebody has answered this already, and here is what they wrote:

<reference>
{reference}
</reference>

Now work on the task yourself, from the beginning and in your own way: think it through, then give your own \
complete answer. Let the reference keep you from mistakes, but don't mention it: readers haven't seen it."""


class TeacherReferenceOptions(IsolationOptions):
    """Options of policy ``teacher-reference``."""

    think: bool = Field(default=True, description="whether the teacher thinks before it writes the reference")
    max_tokens: int | None = Field(
        default=None, ge=1, description="longest reference, without its thinking; default: no limit"
    )
    template: str = Field(
        default=_TEMPLATE,
        description="the student's last message, with {prompt} for the original and {reference}",
    )

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str) -> str:
        return check_places(template, "prompt", "reference")


class TeacherReference(PhasesPolicy):
    """The student writes all, with the teacher's answer before its eyes."""

    Options: ClassVar[type[TeacherReferenceOptions]] = TeacherReferenceOptions
    options: TeacherReferenceOptions
    thinks: ClassVar[Role] = "student"
    answers: ClassVar[Role] = "student"

    @property
    def needs(self) -> Needs:
        return Needs(continues=())

    async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
        reply = await context.ask(
            "teacher",
            self.as_seen("teacher", prompt).messages,
            think=self.options.think,
            max_tokens=self.options.max_tokens,
            purpose="reference",
        )
        if reply.finish != "end_of_turn" or not reply.text.strip():
            what = "is empty" if not reply.text.strip() else f"was cut off ({reply.finish})"
            raise TraceError("no_reference", f"the teacher's reference {what}: {reply.text[-200:]!r}")
        reference = reply.text.strip()
        *before, last = prompt.messages
        asked = fill(self.options.template, prompt=last.content, reference=reference)
        shown = Prompt((*before, Message(last.role, asked)))
        return self.isolated(prompt, Prepared({"student": shown}, metadata={"reference": reference}))
