"""The contract of a check."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tessy.doctor.cost import Cost
from tessy.doctor.finding import Finding
from tessy.doctor.subject import Subject

__all__ = ["Check"]


class Check(ABC):
    """One question about a started backend.

    Attributes:
        name: what reports call it.
    """

    name: str

    def unfit(self, subject: Subject) -> str | None:
        """Why it makes no sense for this backend; ``None``: it does."""
        return None

    @abstractmethod
    def cost(self, subject: Subject) -> Cost:
        """The most that `run` can spend."""

    @abstractmethod
    async def run(self, subject: Subject) -> Finding:
        """Ask the backend. May raise, may be cancelled when its time is over."""
