"""From a resolved configuration to what the core runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tessy.abc import Options
from tessy.budget import Budget
from tessy.config import ALL_ROLES, Resolved, RunConfig
from tessy.config.fitting import fitting
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.directory import JOURNAL
from tessy.errors import ConfigError
from tessy.limits import Limits
from tessy.plan import Plan
from tessy.spec import Spec
from tessy.types import Role
from tessy.variables import fold, names
from tessy.workers.recipe import make_recipe

__all__ = ["make_crew", "make_plan", "make_plans"]


def make_crew(resolved: Resolved) -> Crew:
    """Who takes part."""
    detection = None
    if resolved.detector is not None and resolved.detector_origin is not None:
        detection = Detection(resolved.detector, resolved.detector_origin)
    return Crew(
        policy=resolved.policy,
        policy_origin=resolved.policy_origin,
        backends=resolved.backends,
        origins=resolved.origins,
        detection=detection,
        fitting=partial(fitting, resolved.registry),
    )


def make_plans(resolved: Sequence[Resolved], *, prompts: Sequence[Any] | None = None) -> list[Plan]:
    """The runs of several policies, in order; ``prompts`` in place of the configured ones.

    Raises:
        ConfigError: no prompts or no folder is given, or the folder that is to hold theirs is itself a run's.
    """
    plans = [make_plan(one, prompts=prompts) for one in resolved]
    for plan in plans[1:]:
        above = plan.folder.parent
        if (above / JOURNAL).exists():
            raise ConfigError(
                f"{above}: holds the run of a single policy; several write a folder each below -o, "
                "choose another"
            )
    return plans


def make_plan(
    resolved: Resolved, *, folder: Path | None = None, prompts: Sequence[Any] | None = None
) -> Plan:
    """The run; ``folder`` and ``prompts`` in place of the configured ones.

    Raises:
        ConfigError: no prompts or no folder is given.
    """
    config = resolved.config
    source = prompts if prompts is not None else resolved.prompts
    if source is None:
        raise ConfigError("no prompts are given; name a file, as in: tessy run prompts.jsonl -o runs/first …")
    target = folder or resolved.folder
    if target is None:
        raise ConfigError("no run directory is given; name one with -o")
    return Plan(
        prompts=source,
        folder=target,
        crew=make_crew(resolved),
        policy=_canonical(resolved.policy_spec, resolved.policy.options),
        detector=_canonical(resolved.detector_spec, resolved.detector.options)
        if resolved.detector_spec is not None and resolved.detector is not None
        else None,
        models=resolved.models,
        limits=Limits(max_length=config.max_length, repetition=config.repetition),
        seed=config.seed,
        column=config.column,
        samples=config.samples,
        limit=config.limit,
        concurrency=config.concurrency,
        workers=config.workers,
        recipe=make_recipe(resolved, config.workers) if config.workers > 1 else None,
        resume=config.resume,
        retry_failed=config.retry_failed,
        attempts=config.attempts,
        budget=_budget(config, resolved.backends),
        resolved=resolved.document,
        # Variables may hold secrets: what plugins made of them is written with their names again.
        hide=lambda value: fold(value, resolved.variables),
    )


def _budget(config: RunConfig, roles: Iterable[Role]) -> Budget:
    default = config.prices.get(ALL_ROLES)
    prices = {role: price for role in roles if (price := config.prices.get(role, default)) is not None}
    return Budget(config.budget_tokens, config.budget_cost, config.budget_time, prices)


def _canonical(spec: Spec, options: Options) -> str:
    """The SPEC with the options that are not defaults, however they were given: what rows show."""
    changed = options.model_dump(mode="json", exclude_defaults=True)
    # Where ${VAR} was given it still stands.
    changed.update({key: value for key, value in spec.options.items() if key in changed and names(value)})
    return str(Spec(spec.name, spec.model, spec.urls, changed))
