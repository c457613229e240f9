"""`RunConfig`: the settings of a run, as ``run.yaml`` and the command line give them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, field_validator

from tessy.budget import Price, parse_time
from tessy.builtin import DEFAULT_DETECTOR, DEFAULT_POLICY
from tessy.errors import ConfigError
from tessy.plugins.entry import Kind
from tessy.repetition import Repetition
from tessy.spec import Spec

__all__ = ["ALL_ROLES", "RunConfig", "read_spec"]

ALL_ROLES = "all"
"""The key of a backend for every role that has none of its own."""
_FIELDS = ("name", "model", "urls", "options")


def read_spec(kind: Kind, value: Any) -> Spec:
    """A SPEC, or the same as a mapping of name, model, urls, options.

    Raises:
        ValueError: it is neither; pydantic puts the setting's path before it.
    """
    try:
        if isinstance(value, Spec):
            return value.check(kind)
        if isinstance(value, str):
            return Spec.parse(kind, value)
        return _structured(value).check(kind)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _structured(value: Any) -> Spec:
    if not isinstance(value, Mapping):
        raise ConfigError(f"must be a SPEC or a mapping of {', '.join(_FIELDS)}")
    unknown = [str(key) for key in value if key not in _FIELDS]
    if unknown:
        raise ConfigError(f"no such field {unknown[0]!r}; a plugin has {', '.join(_FIELDS)}")
    name, model, options = value.get("name"), value.get("model"), value.get("options") or {}
    urls = value.get("urls") or ()
    urls = (urls,) if isinstance(urls, str) else urls
    if not isinstance(name, str) or not isinstance(model, (str, type(None))):
        raise ConfigError("needs a name, and name and model must be text")
    if not isinstance(urls, (list, tuple)) or not all(isinstance(url, str) for url in urls):
        raise ConfigError("urls must be a list of URLs")
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise ConfigError("options must be a mapping of names to values")
    return Spec(name, model, tuple(urls), dict(options))


def _read_price(value: Any) -> Price:
    if isinstance(value, Price):
        return value
    if isinstance(value, str):
        return Price.parse(value)
    known = ("input", "output", "cached")
    if not isinstance(value, Mapping) or set(value) - set(known) or not {"input", "output"} <= set(value):
        raise ValueError("a price has input and output, and cached if it differs from input")
    return Price.of(**value)


_BackendSpec = Annotated[Spec, PlainValidator(partial(read_spec, "backend"))]
_PolicySpec = Annotated[Spec, PlainValidator(partial(read_spec, "policy"))]
_Time = Annotated[float, PlainValidator(parse_time)]
_Price = Annotated[Price, PlainValidator(_read_price)]
_Repetition = Annotated[Repetition | None, PlainValidator(Repetition.of)]
_DetectorSpec = Annotated[Spec, PlainValidator(partial(read_spec, "detector"))]


class RunConfig(BaseModel):
    """Settings of a run, checked for themselves but not against the plugins; ``${VAR}`` as written."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True
    )

    prompts: str | None = Field(default=None, description="file or data set of prompts; '-': standard input")
    column: str | None = Field(
        default=None, min_length=1, description="the prompts' column; default: the first known"
    )
    output: str | None = Field(default=None, description="the run directory")
    backends: dict[str, _BackendSpec] = Field(
        default={}, description="by role; 'all': roles without their own"
    )
    policy: list[_PolicySpec] = Field(
        default=[Spec(DEFAULT_POLICY)], min_length=1, description="who writes when"
    )
    detector: _DetectorSpec | None = Field(
        default=None, description=f"default: {DEFAULT_DETECTOR}, if labels are needed"
    )
    limit: int | None = Field(default=None, ge=1, description="at most so many prompts")
    samples: int = Field(default=1, ge=1, description="traces a prompt")
    concurrency: int | None = Field(
        default=None, ge=1, description="trajectories at once; default: what backends bear"
    )
    workers: int = Field(default=1, ge=1, description="processes that read streams")
    seed: int = Field(default=0, ge=0, description="the run's seed")
    max_length: int = Field(default=40_000, ge=1, description="longest trace, in the student's tokens")
    repetition: _Repetition = Field(
        default=Repetition(), description="what counts as a loop: off, on, or KEY=VALUE,…"
    )
    resume: Literal["auto", "always", "never"] = Field(default="auto", description="go on with what -o holds")
    budget_tokens: int | None = Field(default=None, ge=1, description="tokens generated in all, at most")
    budget_cost: float | None = Field(default=None, gt=0, description="what all may cost, by the prices")
    budget_time: _Time | None = Field(default=None, description="time in all, at most: 3600, 90m, 2h30m")
    prices: dict[str, _Price] = Field(
        default={}, description="by role or for all, of a million tokens: input, output, cached"
    )
    retry_failed: bool = Field(default=False, description="try failed rows again")
    attempts: int = Field(default=4, ge=1, description="times that a row is tried in all")
    dry_run: bool = Field(default=False, description="check everything, write nothing")

    @field_validator("backends", mode="before")
    @classmethod
    def _by_role(cls, value: Any) -> Any:
        """A single SPEC serves all roles; SPECs in a list say theirs."""
        if isinstance(value, (str, Spec)):
            value = [value]
        if isinstance(value, Mapping):
            return {role: _of_role(role, spec) for role, spec in value.items()}
        if not isinstance(value, (list, tuple)):
            return value
        by_role: dict[str, Spec] = {}
        for item in value:
            spec = read_spec("backend", item)
            role = spec.role or ALL_ROLES
            if role in by_role and not _same(by_role[role], spec):
                whose = "roles without one of their own" if role == ALL_ROLES else f"role {role!r}"
                raise ValueError(f"two backends for {whose}: {by_role[role]} and {spec}")
            by_role[role] = spec
        return by_role

    @field_validator("prices", mode="before")
    @classmethod
    def _of_roles(cls, value: Any) -> Any:
        """As flags: ``ROLE=IN,OUT[,CACHED]``."""
        if not isinstance(value, (list, tuple)):
            return value
        prices: dict[str, Any] = {}
        for item in value:
            role, mark, price = str(item).partition("=")
            if not mark or not role:
                raise ValueError(
                    f"{item!r} names no role; write ROLE=IN,OUT[,CACHED], ROLE may be {ALL_ROLES}"
                )
            if role in prices:
                raise ValueError(f"two prices for role {role!r}")
            prices[role] = price
        return prices

    @field_validator("policy", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, (str, Spec, Mapping)) else value


def _of_role(role: Any, value: Any) -> Any:
    try:
        named = read_spec("backend", value).role
    except ValueError:
        return value  # the field's own check says what is wrong, and where
    if named not in (None, role):
        raise ValueError(f"the backend under {role!r} names role {named!r}")
    return value


def _same(a: Spec, b: Spec) -> bool:
    return (a.name, a.model, a.urls, a.options) == (b.name, b.model, b.urls, b.options)
