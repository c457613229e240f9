"""Whether prompts fit into the models' contexts, as ``--dry-run`` says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tessy.abc import Backend
from tessy.boundary import Origin, plugin
from tessy.contexts import contexts, narrow
from tessy.plan import Plan
from tessy.types import Prompt

__all__ = ["PromptSizes", "say_fits", "say_misfits"]


class PromptSizes:
    """Prompts as the models of some plans count them, without what a chat format puts around them.

    Args:
        plans: whose backends are started.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.prompts: int = 0
        self._known = {id(plan): contexts(plan.crew) for plan in plans}
        self._tokens: Counter[int] = Counter()
        self._too_long: Counter[int] = Counter()
        # The first who is to read them counts them all; others only where a context may be too small.
        self._counted: dict[int, tuple[Backend, Origin, int | None]] = {}
        for plan in plans:
            known = self._known[id(plan)]
            for role, backend in plan.crew.backends.items():
                if role in known or backend is _first(plan):
                    self._counted[id(backend)] = backend, plan.crew.origins[role], known.get(role)

    def add(self, prompt: Prompt) -> None:
        """One prompt more."""
        self.prompts += 1
        for key, (backend, origin, context) in self._counted.items():
            with plugin(origin, "count_tokens"):
                tokens = sum(backend.count_tokens(message.content) or 0 for message in prompt.messages)
            self._tokens[key] += tokens
            self._too_long[key] += context is not None and tokens >= context

    def figures(self, plan: Plan) -> dict[str, Any]:
        """What ``--dry-run --json`` says of them: for each role the context, and how many are too long."""
        known = self._known[id(plan)]
        warning = narrow(known, plan.limits)
        return {
            "prompts": self.prompts,
            "prompt_tokens": self._tokens[id(_first(plan))],
            "contexts": {
                role: {"tokens": size, "too_long": self._too_long[id(plan.crew.backends[role])]}
                for role, size in known.items()
            },
            "warnings": [] if warning is None else [warning],
        }


def say_fits(figures: Mapping[str, Any]) -> str:
    """Whether all fits, in words."""
    longest = max((context["too_long"] for context in figures["contexts"].values()), default=0)
    if longest:
        return f"{longest:,} of {figures['prompts']:,} prompts do not fit"
    return "the prompts fit" if figures["warnings"] else "everything fits"


def say_misfits(figures: Mapping[str, Any]) -> Sequence[str]:
    """What does not, a line each."""
    said = [
        f"{role}: prompts that fill its context of {context['tokens']:,} tokens: {context['too_long']:,}; "
        "their rows will fail"
        for role, context in figures["contexts"].items()
        if context["too_long"]
    ]
    return [*said, *figures["warnings"]]


def _first(plan: Plan) -> Backend | None:
    return next(iter(plan.crew.backends.values()), None)
