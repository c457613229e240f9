"""What a policy needs of a model, held against what a started backend can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tessy.abc import Capabilities
from tessy.types import Needs, Role

__all__ = ["Missing", "missing", "nonsense"]


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a backend cannot play a role.

    Attributes:
        needed: what the policy needs, after "needs".
        lacking: what the backend is like instead, after its name.
        continuation: it is the ability to continue another's text, so a policy of one model would work.
    """

    needed: str
    lacking: str
    continuation: bool = False

    def __str__(self) -> str:
        return f"needs {self.needed}; {self.lacking}"


def missing(needs: Needs, role: Role, can: Capabilities) -> Missing | None:
    """The first thing that ``role`` needs and the backend lacks; ``None``: it can play the role."""
    if role in needs.continues and not can.continuation:
        return Missing("continuation", "cannot continue a text that another model began", continuation=True)
    if needs.top_logprobs > can.top_logprobs:
        return Missing(
            f"the {needs.top_logprobs} best log-probabilities of each token", f"reports {can.top_logprobs}"
        )
    if role in needs.scores and not can.scoring:
        return Missing("scores", "cannot score")
    return None


def nonsense(needs: Any) -> str | None:
    """Why what a policy says it needs means nothing, for its author; ``None`` if it does."""
    if not isinstance(needs, Needs):
        return f"must be tessy.Needs, it is {type(needs).__name__}"
    for field in ("roles", "continues", "scores"):
        roles = getattr(needs, field)
        if not isinstance(roles, (tuple, list)) or not all(isinstance(role, str) and role for role in roles):
            return f"{field} is {roles!r}, it must be a tuple of names, like ('teacher',)"
    if not needs.roles:
        return "roles is empty, somebody must write"
    for role in needs.scores:
        if role not in needs.roles:
            return f"scores has {role!r}, roles are {', '.join(needs.roles)}"
    most = needs.top_logprobs
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        return f"top_logprobs is {most!r}, it must be a number from 0 on"
    return None
