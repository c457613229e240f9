"""Which registered policies, with their default options, given backends could serve."""

from __future__ import annotations

from collections.abc import Mapping

from tessy.abc import Capabilities
from tessy.config.resolve import Maker
from tessy.needs import missing, unlike
from tessy.plugins import Registry
from tessy.spec import Spec
from tessy.types import Needs, Role

__all__ = ["default_needs", "fitting"]


def default_needs(registry: Registry, name: str) -> Needs:
    """What a policy with default options needs.

    Raises:
        ConfigError: it cannot be loaded, or has an option without a default.
        PluginError: its code failed.
    """
    make, spec = Maker(registry), Spec(name)
    return make.needs(spec, make.policy(spec))


def fitting(registry: Registry, can: Mapping[Role, Capabilities]) -> list[str]:
    """Policies whose roles all have a backend that can play them, by name; broken ones are left out."""
    names = []
    for name in registry.names("policy"):
        try:
            needs = default_needs(registry, name)
        except Exception:  # noqa: S112 – this one is no help, whatever is wrong with it
            continue
        if not set(needs.roles) <= set(can) or unlike(needs, can) is not None:
            continue
        if all(missing(needs, role, can[role]) is None for role in needs.roles):
            names.append(name)
    return names
