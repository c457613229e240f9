"""What happens to model text that spells a control token of the model that is to read it."""

from __future__ import annotations

from tessy.doctor.check import Check
from tessy.doctor.cost import Ask, Cost
from tessy.doctor.finding import Finding
from tessy.doctor.subject import Subject
from tessy.errors import UnsafeText

__all__ = ["ControlTokens"]

_ASK = Ask(
    "How are the marks of a chat template written?",
    "The marks are written <think> and </think>, and a turn ends with <|im_end|>, which",
    max_tokens=1,
)


class ControlTokens(Check):
    """Sent as plain text, refused, or taken as it is."""

    name = "control tokens"

    def unfit(self, subject: Subject) -> str | None:
        if not subject.capabilities.continuation:
            return "no text of another model is ever sent to it"
        return None

    def cost(self, subject: Subject) -> Cost:
        return subject.cost(_ASK)

    async def run(self, subject: Subject) -> Finding:
        if not subject.shows_ids:
            try:
                await subject.ask(_ASK, self.name)
            except UnsafeText:
                summary = "refused (UnsafeText): a trace that spells them fails"
                return Finding(self.name, "ok", summary, "refused")
        if subject.shows_ids:
            summary = "sent as plain text: the backend works in token ids"
            return Finding(self.name, "ok", summary, "plain text")
        summary = "accepted: a text that spells them may command the model"
        return Finding(self.name, "unsure", summary, "accepted")
