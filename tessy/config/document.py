"""What ``run.yaml`` shows of a resolved configuration: everything that was decided, nothing secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tessy.abc import Backend, Options, StyleDetector, SwitchPolicy
from tessy.config.model import RunConfig
from tessy.plugins import Kind, Registry
from tessy.spec import Spec
from tessy.types import Role
from tessy.variables import names, redact

__all__ = ["document"]

_AS_GIVEN = (
    "prompts", "column", "output", "limit", "samples", "concurrency", "workers", "seed", "max_length",
    "attempts",
)  # fmt: skip
_BUDGETS = ("budget_tokens", "budget_cost", "budget_time")


def document(
    config: RunConfig,
    registry: Registry,
    policy: tuple[Spec, SwitchPolicy],
    specs: Mapping[Role, Spec],
    backends: Mapping[Role, Backend],
    detecting: Spec | None,
    detector: StyleDetector | None,
) -> dict[str, Any]:
    """Plain JSON in the shape of `RunConfig`, so that it can be given with ``-c`` again.

    Options are complete, defaults included; where ``${VAR}`` was given it still stands. ``packages``
    are the versions of the packages that take part.
    """
    used: list[tuple[Kind, Spec]] = [("policy", policy[0])]
    for backend in specs.values():
        used.append(("backend", backend))
    shown: dict[str, Any] = {name: getattr(config, name) for name in (*_AS_GIVEN, *_BUDGETS)}
    shown["prices"] = {role: asdict(price) for role, price in config.prices.items()} or None
    shown["repetition"] = asdict(config.repetition) if config.repetition is not None else "off"
    shown["policy"] = _plugin(policy[0], policy[1].options)
    if detecting is not None and detector is not None:
        used.append(("detector", detecting))
        shown["detector"] = _plugin(detecting, detector.options)
    shown["backends"] = {role: _plugin(spec, backends[role].options) for role, spec in specs.items()}
    entries = [registry.entry(kind, spec.name) for kind, spec in used]
    shown["packages"] = {entry.package: entry.version for entry in entries}
    result: dict[str, Any] = redact({key: value for key, value in shown.items() if value is not None})
    return result


def _plugin(spec: Spec, options: Options) -> dict[str, Any]:
    resolved = options.model_dump(mode="json", fallback=str)
    # A given ${VAR} goes back where its value stands.
    resolved.update({key: value for key, value in spec.options.items() if names(value)})
    shown: dict[str, Any] = {"name": spec.name}
    if spec.model is not None:
        shown["model"] = spec.model
    if spec.urls:
        shown["urls"] = list(spec.urls)
    shown["options"] = resolved
    return shown
