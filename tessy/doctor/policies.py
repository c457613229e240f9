"""Which of the examined backends could play which role, policy by policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tessy.config.fitting import default_needs
from tessy.doctor.continuing import MidWord, PlantedNumber
from tessy.doctor.finding import Report
from tessy.needs import missing
from tessy.plugins import Registry
from tessy.types import Needs, Role

__all__ = ["Casting", "PolicyVerdict", "judge_policies"]


@dataclass(frozen=True, slots=True)
class Casting:
    """Whether a backend could play a role.

    Attributes:
        reason: why not; ``None``: it could.
        doubt: it says that it can, but what it did speaks against it.
    """

    role: Role
    spec: str
    reason: str | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """One policy with its default options; ``error`` if it cannot be loaded or has no defaults."""

    policy: str
    castings: tuple[Casting, ...] = ()
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        castings = [{**asdict(one), "ok": one.reason is None} for one in self.castings]
        return {"policy": self.policy, "castings": castings, "error": self.error}


def judge_policies(registry: Registry, reports: Sequence[Report]) -> list[PolicyVerdict]:
    """A verdict for every registered policy, by name."""
    verdicts = []
    for name in registry.names("policy"):
        try:
            needs = default_needs(registry, name)
        except Exception as error:  # one broken policy says nothing about the others
            verdicts.append(PolicyVerdict(name, error=str(error)))
            continue
        castings = tuple(_cast(needs, role, report) for role in needs.roles for report in reports)
        verdicts.append(PolicyVerdict(name, castings))
    return verdicts


def _cast(needs: Needs, role: Role, report: Report) -> Casting:
    if report.capabilities is None:
        return Casting(role, report.spec, "it could not be started")
    lack = missing(needs, role, report.capabilities)
    if lack is not None:
        return Casting(role, report.spec, str(lack))
    probes = (report.verdict(PlantedNumber.name), report.verdict(MidWord.name))
    doubt = "it started over where it should have continued"
    return Casting(
        role, report.spec, None, doubt if role in needs.continues and "starts over" in probes else None
    )
