"""What the functions of the API take: SPECs as on the command line, or objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Literal, TypeAlias, TypedDict

from tessy.abc import Backend, StyleDetector, SwitchPolicy
from tessy.budget import Price
from tessy.config import ALL_ROLES, Resolved, RunConfig, load, resolve
from tessy.config.model import read_spec
from tessy.errors import ConfigError
from tessy.plugins import Kind, Registry
from tessy.spec import Spec
from tessy.types import Prompt

__all__ = ["Config", "Prompts", "Row", "Settings", "configure"]

Row: TypeAlias = dict[str, Any]
"""A row as ``data.jsonl`` has it: the input's columns, ``id``, ``messages``, ``tessy``."""
Config: TypeAlias = "RunConfig | Mapping[str, Any] | str | PathLike[str] | None"
"""Settings: a `RunConfig`, the same as a mapping, or the path of a YAML file."""
Prompts: TypeAlias = "str | PathLike[str] | Iterable[str | Mapping[str, Any] | Prompt]"
"""A file or data set as on the command line, or the prompts themselves."""

BackendLike: TypeAlias = "str | Spec | Backend | type[Backend]"
PolicyLike: TypeAlias = "str | Spec | SwitchPolicy | type[SwitchPolicy]"
DetectorLike: TypeAlias = "str | Spec | StyleDetector | type[StyleDetector]"


class Settings(TypedDict, total=False):
    """Settings by name, as keyword arguments; they override those of a configuration.

    What is a SPEC on the command line may also be an object or a class: a backend, policy or detector of
    the program's own, not installed as a plugin. An object is started and closed by each call.
    """

    teacher: BackendLike
    student: BackendLike
    backends: Mapping[str, BackendLike]
    policy: PolicyLike | Sequence[PolicyLike]
    detector: DetectorLike
    column: str
    output: str | PathLike[str]
    limit: int
    samples: int
    concurrency: int
    workers: int
    seed: int
    max_length: int
    repetition: Literal["on", "off"] | Mapping[str, float]
    resume: Literal["auto", "always", "never"]
    retry_failed: bool
    attempts: int
    budget_tokens: int
    budget_cost: float
    budget_time: float | str
    prices: Mapping[str, Price | str | Mapping[str, float]]


def configure(
    config: Config,
    settings: Mapping[str, Any],
    prompts: str | None = None,
    *,
    registry: Registry | None = None,
) -> tuple[Resolved, ...]:
    """One resolved run for each policy.

    Raises:
        ConfigError: a setting, a plugin or an option is wrong.
    """
    registry = registry or Registry.discover()
    unknown = [name for name in settings if name not in Settings.__annotations__]
    if unknown:
        raise ConfigError(
            f"no such setting {unknown[0]!r}; settings are {', '.join(Settings.__annotations__)}"
        )
    add = _Objects(registry)
    flags: dict[str, Any] = {**settings, "prompts": prompts}
    for role in ("teacher", "student"):
        if role in flags:
            flags[role] = add.spec("backend", flags[role])
    if "backends" in flags:
        flags["backends"] = [
            _for_role(role, add.spec("backend", given)) for role, given in flags["backends"].items()
        ]
    if "policy" in flags:
        given = flags["policy"]
        several = isinstance(given, Sequence) and not isinstance(given, str)
        flags["policy"] = [add.spec("policy", one) for one in (given if several else [given])]
    if "detector" in flags:
        flags["detector"] = add.spec("detector", flags["detector"])
    if "output" in flags:
        flags["output"] = fspath(flags["output"])
    base = fspath(config) if isinstance(config, PathLike) else config
    return resolve(load(base, flags), registry)


class _Objects:
    """Registers the objects and classes that were given, each under a name of its own."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._names: dict[int, str] = {}

    def spec(self, kind: Kind, given: Any) -> Spec:
        """The SPEC that stands for what was given.

        Raises:
            ConfigError: it is nothing that can be one.
        """
        base = {"backend": Backend, "policy": SwitchPolicy, "detector": StyleDetector}[kind]
        cls = given if isinstance(given, type) else type(given)
        if not issubclass(cls, base):
            try:
                return read_spec(kind, given)
            except ValueError as error:
                raise ConfigError(
                    f"{kind} {given!r:.80}: {error}; a {base.__name__} may be given too"
                ) from None
        name = self._names.get(id(given)) or self._add(kind, cls, given)
        model = getattr(given, "model", None) if kind != "policy" else None
        return Spec(name, model or (name if kind == "backend" else None))

    def _add(self, kind: Kind, cls: type[Any], given: Any) -> str:
        stem = cls.__name__.lstrip("_") or kind
        taken = self._registry.names(kind)
        name = next(n for n in (stem, *(f"{stem}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)
        self._registry.add(kind, name, given)
        self._names[id(given)] = name
        return name


def _for_role(role: str, spec: Spec) -> Spec:
    return Spec(spec.name, spec.model, spec.urls, spec.options, None if role == ALL_ROLES else role)
