"""How a worker process makes its crew: settings that lead there to the same plugins as here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessy.config import ALL_ROLES, Resolved, RunConfig
from tessy.errors import ConfigError
from tessy.plugins import Kind
from tessy.spec import Spec

__all__ = ["Recipe", "make_recipe", "shares"]

_RATES = ("rpm", "tpm")


@dataclass(frozen=True)
class Recipe:
    """Settings of one policy's run as plain JSON, ``${VAR}`` unexpanded; limits are one worker's share."""

    settings: Mapping[str, Any]

    def config(self) -> RunConfig:
        """The settings, in another process."""
        return RunConfig.model_validate(self.settings)


def make_recipe(resolved: Resolved, workers: int) -> Recipe:
    """Settings for each of so many workers.

    Raises:
        ConfigError: what takes part cannot be in several processes, or a limit cannot be divided.
    """
    parts: list[tuple[Kind, Spec]] = [("policy", resolved.policy_spec)]
    if resolved.detector_spec is not None:
        parts.append(("detector", resolved.detector_spec))
    backends: dict[str, Any] = {}
    for role, backend in resolved.backends.items():
        spec = resolved.config.backends.get(role) or resolved.config.backends[ALL_ROLES]
        parts.append(("backend", spec))
        if backend.in_process:
            raise ConfigError(
                f"workers={workers}: backend {role}={spec.plain} runs its engine in this process, and "
                "workers cannot share it; leave --workers out, or give the URL of a server (NAME:MODEL@URL)"
            )
        backends[role] = _plain(spec, _limits(f"{role}={spec.plain}", backend.options, workers))
    for kind, spec in parts:
        if resolved.registry.is_own(kind, spec.name):
            raise ConfigError(
                f"workers={workers}: {kind} {spec.name!r} is an object or class of this program, which other "
                "processes do not have; leave workers out, or install it as a plugin"
            )
    settings: dict[str, Any] = {"policy": [_plain(resolved.policy_spec)], "backends": backends}
    if resolved.detector_spec is not None:
        settings["detector"] = _plain(resolved.detector_spec)
    return Recipe(settings)


def shares(total: int, workers: int) -> list[int]:
    """A total divided as evenly as it goes, the larger shares first."""
    each, rest = divmod(total, workers)
    return [each + (i < rest) for i in range(workers)]


def _limits(name: str, options: Any, workers: int) -> dict[str, Any]:
    """One worker's share of what a backend may ask of its URLs, where it has such options."""
    limits: dict[str, Any] = {}
    for option in _RATES:
        rate = getattr(options, option, None)
        if rate is not None:
            if rate < workers:
                raise ConfigError(
                    f"workers={workers}: {option}={rate} of {name} is too little for so many; each needs 1"
                )
            limits[option] = rate // workers
    most = getattr(options, "max_concurrency", None)
    if most is not None:
        if most < workers:
            raise ConfigError(
                f"workers={workers}: max_concurrency={most} of {name} is too little for so many"
            )
        limits["max_concurrency"] = most // workers
    return limits


def _plain(spec: Spec, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": spec.name, "urls": list(spec.urls)}
    if spec.model is not None:
        plain["model"] = spec.model
    plain["options"] = {**spec.options, **(more or {})}
    return plain
