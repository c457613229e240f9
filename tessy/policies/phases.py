"""Thinking and answer each in one hand: what most of the paper's settings have in common."""

from __future__ import annotations

from typing import ClassVar

from tessy.policies.isolation import IsolatingPolicy
from tessy.trajectory import Trajectory
from tessy.types import Done, Needs, Role, Turn

__all__ = ["PhasesPolicy"]


class PhasesPolicy(IsolatingPolicy):
    """One model writes the thinking, one the answer; they may be the same."""

    thinks: ClassVar[Role]
    answers: ClassVar[Role]

    @property
    def needs(self) -> Needs:
        if self.thinks == self.answers:
            return Needs(roles=(self.thinks,), continues=())
        return Needs(continues=(self.answers,))

    def authors(self, trajectory: Trajectory) -> tuple[Role, Role]:
        """Who thinks and who answers here."""
        return self.thinks, self.answers

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        thinks, answers = self.authors(trajectory)
        match trajectory.phase, trajectory.ended:
            case "answer", "end_of_turn":
                return Done()
            case "think", "end_of_turn" if self.options.on_eos == "fail":
                return Done()
            case "think", "end_of_turn":
                return Turn(answers, "answer", checkpoint=True)
            case "think", _:
                return Turn(thinks, "think", checkpoint=True)
            case _:
                return Turn(answers, "answer", checkpoint=True)
