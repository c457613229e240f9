"""What a check has found, and what is known of a backend when all have run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tessy.abc import Capabilities
from tessy.doctor.cost import Cost
from tessy.types import Json, Role, Usage

__all__ = ["Finding", "Report", "Status"]

Status = Literal["ok", "bad", "unsure", "skipped", "error"]
"""``bad``: the answer is one the user should act on; ``error``: the check itself came to nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: its name.
        summary: a sentence for people.
        verdict: the outcome in a word or two, the same for every backend.
        said: what the model wrote, as it came: clean it before it is shown.
        figures: numbers, with their units in their names.
    """

    check: str
    status: Status
    summary: str
    verdict: str | None = None
    said: str | None = None
    figures: Mapping[str, Json] = field(default_factory=dict)


@dataclass
class Report:
    """What is known of one backend; grows while it is examined.

    Attributes:
        spec: the SPEC as given.
        roles: those it was given for, perhaps none.
        starting: tokens that its start may spend at most.
        bound: what its checks may spend at most, as announced; ``None`` before, and if it did not start.
        planned: the checks that fit into the budget.
        spent: what its sessions counted.
        variables: the environment variables in its SPEC; their values may stand in what plugins say.
    """

    spec: str
    roles: tuple[Role, ...] = ()
    variables: frozenset[str] = frozenset()
    usable: bool = False
    seconds: float = 0.0
    thinks: bool | None = None
    template: Json = None
    capabilities: Capabilities | None = None
    starting: int = 0
    bound: Cost | None = None
    planned: tuple[str, ...] = ()
    spent: Usage = field(default_factory=Usage)
    facts: Mapping[str, Json] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def verdict(self, check: str) -> str | None:
        """What a check said, if it ran."""
        return next((found.verdict for found in self.findings if found.check == check), None)

    def as_json(self) -> dict[str, Any]:
        """All of it, figures as numbers."""
        bound = self.bound
        return {
            "spec": self.spec,
            "roles": list(self.roles),
            "usable": self.usable,
            "start_seconds": round(self.seconds, 3),
            "thinks": self.thinks,
            "template": self.template,
            "capabilities": None if self.capabilities is None else asdict(self.capabilities),
            "start_tokens": self.starting,
            "bound": None if bound is None else {**asdict(bound), "total": bound.total},
            "spent": {**asdict(self.spent), "total": self.spent.prompt + self.spent.generated},
            "checks": [asdict(found) for found in self.findings],
            "facts": dict(self.facts),
        }
