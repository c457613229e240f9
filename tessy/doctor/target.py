"""What is to be examined: backends by SPEC, each once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessy.abc import Backend
from tessy.boundary import Origin
from tessy.config import ALL_ROLES, Maker, RunConfig
from tessy.errors import ConfigError
from tessy.plugins import Registry
from tessy.spec import Spec
from tessy.types import Role
from tessy.variables import names, redact

__all__ = ["Target", "targets"]


@dataclass(frozen=True)
class Target:
    """A backend that was asked for.

    Attributes:
        shown: its SPEC as reports show it: variables as written, no secret.
        spec: ``None`` if what was given is none; ``error`` then says why.
        roles: those it was given for.
    """

    shown: str
    spec: Spec | None
    roles: tuple[Role, ...] = ()
    error: ConfigError | None = None

    @property
    def variables(self) -> frozenset[str]:
        """The environment variables that its SPEC names."""
        spec = self.spec
        return frozenset() if spec is None else frozenset(names([spec.model, spec.urls, spec.options]))

    def build(self, registry: Registry, environ: Mapping[str, str] = os.environ) -> tuple[Backend, Origin]:
        """The backend, not started.

        Raises:
            ConfigError: the SPEC, the plugin, an option or a variable is wrong.
        """
        if self.spec is None:
            raise self.error or ConfigError(f"{self.shown}: is no SPEC")
        backend = Maker(registry, environ).backend("backend", self.spec)
        return backend, registry.origin("backend", self.spec.name)


def targets(specs: Sequence[str], config: RunConfig) -> list[Target]:
    """The SPECs given by themselves, then the configuration's backends; equal ones are one.

    A SPEC given by itself that cannot be read is a target that will not start.
    """
    found: dict[str, Target] = {}
    for text in specs:
        try:
            spec = Spec.parse("backend", text)
        except ConfigError as error:
            shown = redact(text.encode("utf-8", "replace").decode())
            found.setdefault(text, Target(shown, None, error=error))
        else:
            _add(found, spec, spec.role)
    for role, spec in config.backends.items():
        _add(found, spec, None if role == ALL_ROLES else role)
    return list(found.values())


def _add(found: dict[str, Target], spec: Spec, role: Role | None) -> None:
    plain = Spec(spec.name, spec.model, spec.urls, spec.options)
    key = json.dumps([spec.name, spec.model, spec.urls, spec.options], sort_keys=True, default=str)
    roles = found[key].roles if key in found else ()
    if role is not None and role not in roles:
        roles = (*roles, role)
    found[key] = Target(redact(str(plain)), plain, roles)
