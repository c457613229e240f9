"""From settings to plugins: loaded, given their options, constructed, not started."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from tessy.abc import Backend, Options, StyleDetector, SwitchPolicy
from tessy.boundary import Origin, plugin
from tessy.builtin import DEFAULT_DETECTOR, EXAMPLES
from tessy.config.document import document
from tessy.config.model import ALL_ROLES, RunConfig
from tessy.errors import ConfigError, PluginLoadError, TessyError
from tessy.needs import nonsense
from tessy.options import build
from tessy.plugins import Kind, Registry
from tessy.seeds import derive
from tessy.spec import Spec
from tessy.types import Needs, Role
from tessy.variables import expand, names

__all__ = ["Maker", "Resolved", "resolve"]

_LONGEST_FOLDER = 80
T = TypeVar("T")


@dataclass(frozen=True)
class Resolved:
    """One policy's run, ready to start.

    Attributes:
        config: the settings it comes from.
        prompts, folder: where to read and write, variables expanded; with several policies each has a
            folder of its own below the output.
        policy, policy_origin, policy_spec: who decides; ``spec`` as given.
        backends, origins, models: by role. Roles with equal SPECs share one backend.
        detector, detector_origin, detector_spec: ``None`` if the policy needs no labels.
        document: what ``run.yaml`` shows: settings with the options' full values, ``${VAR}`` unexpanded.
        variables: those that were expanded; give them to `tessy.variables.fold` before writing what
            plugins made of their options.
        registry: where the plugins come from.
    """

    config: RunConfig
    prompts: str | None
    folder: Path | None
    policy: SwitchPolicy
    policy_origin: Origin
    policy_spec: Spec
    backends: Mapping[Role, Backend]
    origins: Mapping[Role, Origin]
    models: Mapping[Role, str]
    detector: StyleDetector | None
    detector_origin: Origin | None
    detector_spec: Spec | None
    document: Mapping[str, Any]
    variables: frozenset[str]
    registry: Registry


def resolve(
    config: RunConfig, registry: Registry, *, environ: Mapping[str, str] = os.environ
) -> tuple[Resolved, ...]:
    """One `Resolved` for each policy, in order.

    Raises:
        ConfigError: a plugin, a role, an option or a variable is wrong; so are `PluginNotFound`,
            `PluginLoadError` and `PluginConflict`.
    """
    _check_policies(config.policy)
    make = Maker(registry, environ)
    policies = [make.policy(spec) for spec in config.policy]
    needs = [make.needs(spec, policy) for spec, policy in zip(config.policy, policies, strict=True)]
    _check_roles(config, needs, registry)
    _check_prices(config, needs)
    shared = _Shared(make)
    if config.detector is not None and not any(need.labels for need in needs):
        make.detector(config.detector)  # unused, but a mistake in it is still one
    return tuple(
        _resolve(config, shared, spec, policy, need)
        for spec, policy, need in zip(config.policy, policies, needs, strict=True)
    )


class Maker:
    """Constructs plugins, not started; what their code raises names them.

    All methods raise `ConfigError`: the plugin, an option or a variable is wrong.
    """

    def __init__(self, registry: Registry, environ: Mapping[str, str] = os.environ) -> None:
        self.registry = registry
        self.environ = environ

    def policy(self, spec: Spec) -> SwitchPolicy:
        """The policy of a SPEC."""
        cls = self.registry.load("policy", spec.name)
        if (given := self.registry.object("policy", spec.name)) is not None:
            return cast(SwitchPolicy, given)
        if spec.model is not None:
            raise ConfigError(
                f"policy {spec.name}: takes no model, {spec.model!r} is given; {EXAMPLES['policy']}"
            )
        options = self._options("policy", "policy", spec, cls)
        return self._construct("policy", spec, lambda: cls(options))

    def needs(self, spec: Spec, policy: SwitchPolicy) -> Needs:
        """What it needs."""
        origin = self.registry.origin("policy", spec.name)
        with plugin(origin, "needs"):
            needs = policy.needs
        reason = nonsense(needs)
        if reason is not None:
            raise PluginLoadError(f"{origin} cannot be used: {reason}")
        return needs

    def detector(self, spec: Spec) -> StyleDetector:
        """The detector of a SPEC."""
        cls = self.registry.load("detector", spec.name)
        if (given := self.registry.object("detector", spec.name)) is not None:
            return cast(StyleDetector, given)
        model = spec.expand(f"detector {spec.name}", self.environ).model
        options = self._options("detector", "detector", spec, cls)
        return self._construct("detector", spec, lambda: cls(options, model=model))

    def backend(self, path: str, spec: Spec) -> Backend:
        """The backend of a SPEC; ``path`` is what messages call its place, say ``backend teacher``."""
        cls = self.registry.load("backend", spec.name)
        if (given := self.registry.object("backend", spec.name)) is not None:
            return cast(Backend, given)
        expanded = spec.expand(f"{path} {spec.name}", self.environ)
        options = self._options("backend", path, spec, cls)
        url = ",".join(expanded.urls) or None
        return self._construct("backend", spec, lambda: cls(expanded.model or "", options, url=url))

    def _options(self, kind: Kind, path: str, spec: Spec, cls: type[Any]) -> Options:
        package = self.registry.origin(kind, spec.name).package
        return build(path, spec.name, package, cls, spec.options, environ=self.environ)

    def _construct(self, kind: Kind, spec: Spec, make: Callable[[], T]) -> T:
        try:
            return make()
        except TessyError:
            raise
        except Exception as error:
            origin = self.registry.origin(kind, spec.name)
            raise PluginLoadError(f"{origin} could not be made: {type(error).__name__}: {error}") from error


class _Shared:
    """Backends and detectors for all policies and roles: made once where SPECs are equal."""

    def __init__(self, make: Maker) -> None:
        self.make = make
        self._backends: dict[str, Backend] = {}
        self._detectors: dict[str, StyleDetector] = {}

    def backend(self, role: Role, spec: Spec) -> Backend:
        if (key := _content(spec)) not in self._backends:
            self._backends[key] = self.make.backend(f"backend {role}", spec)
        return self._backends[key]

    def detector(self, spec: Spec) -> StyleDetector:
        if (key := _content(spec)) not in self._detectors:
            self._detectors[key] = self.make.detector(spec)
        return self._detectors[key]


def _content(spec: Spec) -> str:
    """What a SPEC says, whoever it is for."""
    return json.dumps([spec.name, spec.model, spec.urls, spec.options], sort_keys=True, default=str)


def _resolve(config: RunConfig, shared: _Shared, spec: Spec, policy: SwitchPolicy, needs: Needs) -> Resolved:
    registry, environ = shared.make.registry, shared.make.environ
    specs = {role: config.backends.get(role, config.backends.get(ALL_ROLES)) for role in needs.roles}
    chosen = {role: found for role, found in specs.items() if found is not None}
    backends = {role: shared.backend(role, backend) for role, backend in chosen.items()}
    detecting = (config.detector or Spec(DEFAULT_DETECTOR)) if needs.labels else None
    detector = shared.detector(detecting) if detecting is not None else None
    used = [spec, *chosen.values(), *([detecting] if detecting else [])]
    return Resolved(
        config=config,
        prompts=expand(config.prompts, "prompts", environ),
        folder=_folder(config, spec, environ),
        policy=policy,
        policy_origin=registry.origin("policy", spec.name),
        policy_spec=spec,
        backends=backends,
        origins={role: registry.origin("backend", backend.name) for role, backend in chosen.items()},
        models={role: backend.plain for role, backend in chosen.items()},
        detector=detector,
        detector_origin=registry.origin("detector", detecting.name) if detecting else None,
        detector_spec=detecting,
        document=document(config, registry, (spec, policy), chosen, backends, detecting, detector),
        variables=frozenset().union(*(names([one.model, one.urls, one.options]) for one in used)),
        registry=registry,
    )


def _folder(config: RunConfig, spec: Spec, environ: Mapping[str, str]) -> Path | None:
    if config.output is None:
        return None
    output = Path(expand(config.output, "output", environ))
    if len(config.policy) == 1:
        return output
    return output / _folder_name(spec, config.policy)


def _folder_name(spec: Spec, policies: Sequence[Spec]) -> str:
    """The policy's name; of several with one name their options too, cut short where they are long."""
    if sum(other.name == spec.name for other in policies) == 1:
        return spec.name
    names = [re.sub(r"[^\w.=-]+", "-", str(other)) for other in policies]
    name = re.sub(r"[^\w.=-]+", "-", str(spec))
    if len(name) <= _LONGEST_FOLDER and names.count(name) == 1:
        return name
    return f"{name[:_LONGEST_FOLDER]}-{derive(spec):016x}"


def _check_policies(policies: Sequence[Spec]) -> None:
    texts = [str(spec) for spec in policies]
    for text in texts:
        if texts.count(text) > 1:
            raise ConfigError(f"policy {text}: is given twice")


def _check_roles(config: RunConfig, needs: Sequence[Needs], registry: Registry) -> None:
    """Every role has a backend, every backend a role."""
    given = config.backends
    declared = list(dict.fromkeys(role for need in needs for role in need.roles))
    for role in given:
        if role not in (ALL_ROLES, *declared):
            have = "have no such role; they have" if len(needs) > 1 else "has no such role; it has"
            raise ConfigError(
                f"backend {role}={given[role].plain}: {_named(config.policy)} {have} {', '.join(declared)}"
            )
    missing = [role for role in declared if role not in given]
    if ALL_ROLES in given:
        if not missing:
            raise ConfigError(
                f"backend {given[ALL_ROLES].plain}: has no role left, {', '.join(declared)} have backends of "
                "their own; leave it out, or theirs"
            )
    elif missing:
        role = missing[0]
        flag = f"--{role} SPEC" if role in ("teacher", "student") else f"--backend {role}=SPEC"
        whose = [spec for spec, need in zip(config.policy, needs, strict=True) if {*missing} & {*need.roles}]
        raise ConfigError(
            f"{_named(whose)} {'needs' if len(whose) == 1 else 'need'} a backend for "
            f"{' and '.join(missing)}: {flag}, or --backend SPEC for all roles; a SPEC is "
            f"NAME:MODEL[@URL][?KEY=VALUE&…], NAME one of {', '.join(registry.names('backend'))}"
        )


def _check_prices(config: RunConfig, needs: Sequence[Needs]) -> None:
    """Prices are for roles that exist, and a budget of cost has one for each."""
    roles = list(dict.fromkeys(role for need in needs for role in need.roles))
    for role in config.prices:
        if role not in (ALL_ROLES, *roles):
            raise ConfigError(f"prices: there is no role {role!r}; there are {', '.join(roles)}")
    missing = [role for role in roles if ALL_ROLES not in config.prices and role not in config.prices]
    if config.budget_cost is not None and missing:
        raise ConfigError(
            f"--budget-cost needs the price of every role, {' and '.join(missing)} has none: give "
            f"{' '.join(f'--price {role}=IN,OUT[,CACHED]' for role in missing)}, each for a million tokens "
            "(0,0 for a model that costs nothing)"
        )


def _named(policies: Sequence[Spec]) -> str:
    return " and ".join(f"policy {spec.name!r}" for spec in policies)
