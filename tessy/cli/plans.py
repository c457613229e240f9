"""From a resolved configuration to what the core runs."""

from __future__ import annotations

from pathlib import Path

from tessy.config import Resolved
from tessy.detection import Detection
from tessy.errors import ConfigError
from tessy.rowwriter import Crew
from tessy.run import Plan
from tessy.variables import fold
from tessy.writer import Limits

__all__ = ["make_crew", "make_plan"]


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
    )


def make_plan(resolved: Resolved, *, folder: Path | None = None) -> Plan:
    """The run; ``folder`` in place of the configured one.

    Raises:
        ConfigError: no prompts or no folder is given.
    """
    config = resolved.config
    if resolved.prompts is None:
        raise ConfigError("no prompts are given; name a file, as in: tessy run prompts.jsonl -o runs/first …")
    target = folder or resolved.folder
    if target is None:
        raise ConfigError("no run directory is given; name one with -o")
    return Plan(
        prompts=resolved.prompts,
        folder=target,
        crew=make_crew(resolved),
        policy=str(resolved.policy_spec),
        detector=str(resolved.detector_spec) if resolved.detector_spec else None,
        models=resolved.models,
        limits=Limits(max_length=config.max_length),
        seed=config.seed,
        samples=config.samples,
        limit=config.limit,
        concurrency=config.concurrency,
        resume=config.resume,
        retry_failed=config.retry_failed,
        resolved=resolved.document,
        # Variables may hold secrets: what plugins made of them is written with their names again.
        hide=lambda value: fold(value, resolved.variables),
    )
