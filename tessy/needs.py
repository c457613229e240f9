"""What a policy needs of its models, held against what started backends can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessy.abc import Capabilities
from tessy.types import Needs, Role

__all__ = ["Missing", "missing", "nonsense", "unlike"]


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a backend cannot play a role.

    Attributes:
        needed: what the policy needs, after "needs".
        lacking: what the backend is like instead, after its name.
        capability: the name of the missing capability (`tessy.Capabilities`).
    """

    needed: str
    lacking: str
    capability: str

    def __str__(self) -> str:
        return f"needs {self.needed}; {self.lacking}"


def missing(needs: Needs, role: Role, can: Capabilities) -> Missing | None:
    """The first thing that ``role`` needs and the backend lacks; ``None``: it can play the role."""
    if role in needs.continues and not can.continuation:
        return Missing("continuation", "cannot continue a text that another model began", "continuation")
    generated, rated = needs.top_logprobs.get(role, 0), needs.score_alternatives.get(role, 0)
    few = f"reports {can.top_logprobs}"
    if generated > can.top_logprobs:
        what = f"the {generated} best log-probabilities of each token (top_logprobs)"
        return Missing(what, few, "top_logprobs")
    if (role in needs.scores or role in needs.score_alternatives) and not can.scoring:
        return Missing("scores of given text (scoring)", "cannot score", "scoring")
    if rated > can.top_logprobs:
        what = f"scores with the {rated} best alternatives of each token (top_logprobs)"
        return Missing(what, few, "top_logprobs")
    return None


def unlike(needs: Needs, can: Mapping[Role, Capabilities]) -> str | None:
    """Why the roles' backends do not go together; ``None``: they do, or need not."""
    if not needs.shared_vocabulary:
        return None
    vocabularies = {role: can[role].vocabulary for role in needs.roles}
    for role, vocabulary in vocabularies.items():
        if vocabulary is None:
            return f"one shared vocabulary (vocabulary); the {role}'s is unknown"
    if len(set(vocabularies.values())) > 1:
        return f"one shared vocabulary (vocabulary); {' and '.join(vocabularies)} have different ones"
    return None


def nonsense(needs: Any) -> str | None:
    """Why what a policy says it needs means nothing, for its author; ``None`` if it does."""
    if not isinstance(needs, Needs):
        return f"needs must be tessy.Needs, it is {type(needs).__name__}"
    for field in ("roles", "continues", "scores"):
        roles = getattr(needs, field)
        if not isinstance(roles, (tuple, list)) or not all(isinstance(role, str) and role for role in roles):
            return f"needs.{field} is {roles!r}, it must be a tuple of names, like ('teacher',)"
    if not needs.roles:
        return "needs.roles is empty, somebody must write"
    # ``continues`` may name more: its default names both.
    for role in needs.scores:
        if role not in needs.roles:
            return f"needs.scores has {role!r}, roles are {', '.join(needs.roles)}"
    for field in ("top_logprobs", "score_alternatives"):
        by_role = getattr(needs, field)
        if not isinstance(by_role, Mapping):
            example = f"{{{needs.roles[0]!r}: 5}}"
            return f"needs.{field} is {by_role!r}, it must give numbers by role, like {example}"
        for role, most in by_role.items():
            if role not in needs.roles:
                return f"needs.{field} has {role!r}, roles are {', '.join(needs.roles)}"
            if not isinstance(most, int) or isinstance(most, bool) or most < 0:
                return f"needs.{field} has {most!r} for {role!r}, it must be a number from 0 on"
    return None
