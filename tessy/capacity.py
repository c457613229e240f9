"""How much the started engines of a crew bear."""

from __future__ import annotations

from tessy.abc import Backend
from tessy.boundary import plugin
from tessy.crew import Crew
from tessy.types import Role

__all__ = ["concurrency", "kv_budgets"]

_DEFAULT_CONCURRENCY = 64


def concurrency(crew: Crew) -> int:
    """Trajectories at once that its backends serve well."""
    limits = []
    backends = list(crew.backends.values())
    for backend in backends:
        most = backend.capabilities.max_active
        if most is not None:
            # A backend that plays two roles holds two sessions a trajectory.
            limits.append(max(1, most // sum(backend is other for other in backends)))
    return min(limits, default=_DEFAULT_CONCURRENCY)


def kv_budgets(crew: Crew) -> dict[Role, int]:
    """Tokens that each engine's memory holds, by the first role that it plays: it is counted once."""
    budgets: dict[Role, int] = {}
    counted: list[Backend] = []
    for role, backend in crew.backends.items():
        if any(backend is other for other in counted):
            continue
        counted.append(backend)
        with plugin(crew.origins[role], "capabilities"):
            tokens = backend.capabilities.kv_tokens
        if tokens is not None:
            budgets[role] = tokens
    return budgets
