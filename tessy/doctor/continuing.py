"""Does the model really go on from the middle of what somebody else wrote, or does it start over?"""

from __future__ import annotations

import re
from abc import abstractmethod

from tessy.doctor.check import Check
from tessy.doctor.cost import Ask, Cost
from tessy.doctor.finding import Finding, Status
from tessy.doctor.subject import Subject
from tessy.seeds import derive

__all__ = ["MidWord", "PlantedNumber", "starts_over"]

_STATUS: dict[str, Status] = {"continues": "ok", "unsure": "unsure", "starts over": "bad"}
_LENGTH = 24
_NEAR = 120
_FRESH = re.compile(
    r"(?:<think>)?\W*(?:Okay|Ok|OK|Alright|All right|Sure|Certainly|Got it|Hmm|First|The user|We need|I need"
    r"|I should|Let me|Let's|So,|To answer|Here)\b"
)


def starts_over(begun: str, came: str) -> bool:
    """Whether ``came``, written after ``begun``, begins a text of its own or repeats its beginning.

    ``begun`` must end in the middle of a sentence: there, nobody who goes on writes "Okay, so".
    """
    opening, said = _plain(begun)[:_LENGTH], _plain(came)
    if opening in said[:_NEAR] or (len(said) >= _LENGTH // 2 and opening.startswith(said)):
        return True
    return _FRESH.match(came.lstrip()) is not None


class _Continuing(Check):
    tokens = 16

    @abstractmethod
    def ask(self, subject: Subject) -> Ask:
        """What is to be continued."""

    @abstractmethod
    def judge(self, subject: Subject, came: str) -> str:
        """``continues``, ``unsure`` or ``starts over``."""

    def unfit(self, subject: Subject) -> str | None:
        if not subject.capabilities.continuation:
            return "it cannot continue a text that another model began"
        return None

    def cost(self, subject: Subject) -> Cost:
        return subject.cost(self.ask(subject))

    async def run(self, subject: Subject) -> Finding:
        ask = self.ask(subject)
        came = (await subject.ask(ask, self.name)).text
        verdict = self.judge(subject, came)
        after = f"after {ask.begun[-16:]!r}"
        summary = f"{verdict}: {after} it wrote" if came else f"{verdict}: {after} it wrote nothing"
        return Finding(self.name, _STATUS[verdict], summary, verdict, came or None)


class PlantedNumber(_Continuing):
    """The thinking so far knows a number that the question does not; the next word must be it."""

    name = "planted number"

    def ask(self, subject: Subject) -> Ask:
        number = self._number(subject)
        return Ask(
            "Think about the code word that you were given, then say it.",
            f"Before all else I was given a code word, and it is {number}. I must not lose it, whatever "
            f"happens: {number}. So, to repeat it once more, the code word is",
            self.tokens,
        )

    def judge(self, subject: Subject, came: str) -> str:
        if starts_over(self.ask(subject).begun, came):
            return "starts over"
        return "continues" if self._number(subject) in came else "unsure"

    @staticmethod
    def _number(subject: Subject) -> str:
        return str(1000 + derive("number", subject.nonce) % 9000)


class MidWord(_Continuing):
    """The thinking so far ends inside a word; what comes must be the rest of it."""

    name = "middle of a word"
    _half = "eleph"

    def ask(self, subject: Subject) -> Ask:
        return Ask(
            "Think about what the picture shows, then describe it.",
            "In the picture two animals stand at a lake. On the left there is a small elephant, and on the "
            f"right there is another, much larger {self._half}",
            self.tokens,
        )

    def judge(self, subject: Subject, came: str) -> str:
        again = came.strip().lower().startswith(self._half)
        if again or starts_over(self.ask(subject).begun, came):
            return "starts over"
        return "continues" if came[:1].isalpha() and came[:1].islower() else "unsure"


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
