"""What a check may spend, known before it is spent."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TEMPLATE", "Ask", "Cost"]

TEMPLATE = 256
"""Tokens that a chat template, and a service's own words, put around a prompt: more than most do."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a model.

    Attributes:
        question: the user's message.
        begun: what another author has written of the thinking (of the answer, if the model does not think).
        max_tokens: how much it may write.
    """

    question: str
    begun: str = ""
    max_tokens: int = 16


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens: an upper bound."""

    prompt: int = 0
    generated: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.generated

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.prompt + other.prompt, self.generated + other.generated)
