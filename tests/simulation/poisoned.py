"""A policy whose code fails for the rows that are poisoned so."""

from __future__ import annotations

from typing import Any

from tessy.abc import SwitchPolicy
from tessy.draft import Draft
from tessy.trajectory import Trajectory
from tessy.types import Cut, Done, Turn

from .world import Poison, World

__all__ = ["poisoned"]


def poisoned(policy: SwitchPolicy, world: World) -> SwitchPolicy:
    """The policy itself where its code is not to fail: what it does not override the core leaves out."""
    kinds = {poison.kind.split()[0] for poison in world.poison.values()}
    if not kinds & {"next_turn", "watch"}:
        return policy
    cls: Any = type(policy)
    turns: dict[int, tuple[Turn, Poison]] = {}  # a draft does not say whose it is

    def next_turn(self: SwitchPolicy, trajectory: Trajectory) -> Turn | Done:
        poison = world.poison.get(f"{trajectory.row}#{trajectory.sample}")
        due = poison is not None and sum(span.tokens for span in trajectory.spans) >= poison.after
        if due and poison.kind == "next_turn raises":  # type: ignore[union-attr]
            raise ZeroDivisionError("simulated: a bug of the policy's")
        if due and poison.kind == "next_turn lies":  # type: ignore[union-attr]
            return "student"  # type: ignore[return-value]
        turn: Turn | Done = cls.next_turn(self, trajectory)
        if due and isinstance(turn, Turn):
            assert poison is not None
            turns[id(turn)] = (turn, poison)
        return turn

    def watch(self: SwitchPolicy, draft: Draft) -> Cut | None:
        _, poison = turns.get(id(draft.turn), (None, None))
        if poison is not None and poison.kind == "watch raises":
            raise ZeroDivisionError("simulated: a bug of the policy's")
        if poison is not None and poison.kind == "watch lies":
            return Cut(len(draft) + 7)
        cut: Cut | None = cls.watch(self, draft)
        return cut

    body: dict[str, Any] = {"next_turn": next_turn, **({"watch": watch} if "watch" in kinds else {})}
    made: SwitchPolicy = object.__new__(type(cls.__name__, (cls,), body))
    made.__dict__.update(policy.__dict__)
    return made
