"""``tessy detector sample``: both models' thinking, cut into segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.cli.flags import (
    BackendFlag,
    ColumnFlag,
    ConcurrencyFlag,
    ConfigFlag,
    JsonFlag,
    LimitFlag,
    MaxLengthFlag,
    PromptsArgument,
    SeedFlag,
    StudentFlag,
    TeacherFlag,
)

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from tessy.config import Resolved, RunConfig
    from tessy.labelling import Segment

__all__ = ["register"]

_ROLES = ("teacher", "student")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sample")(sample)


def sample(
    prompts: PromptsArgument = None,
    column: ColumnFlag = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", help="A folder for traces and segments.jsonl.", show_default=False),
    ] = None,
    backend: BackendFlag = None,
    teacher: TeacherFlag = None,
    student: StudentFlag = None,
    config: ConfigFlag = None,
    limit: LimitFlag = None,
    segments: Annotated[
        int, typer.Option(help="At most so many segments of each model, drawn at random.", min=1)
    ] = 10_000,
    words: Annotated[int, typer.Option(help="Words in a segment, about.", min=5)] = 60,
    concurrency: ConcurrencyFlag = None,
    seed: SeedFlag = None,
    max_length: MaxLengthFlag = None,
    json: JsonFlag = False,
) -> None:
    """Let each model think by itself, and cut its thinking into segments to annotate.

    One of the two models is enough. Goes on where it was stopped. Traces that fail count as far as they
    were written.
    """
    from pathlib import Path

    from rich.console import Console

    from tessy.cli.interrupts import run as run_loop
    from tessy.config import ALL_ROLES, load
    from tessy.directory import RunDirectory
    from tessy.errors import ConfigError

    if output is None:
        raise ConfigError("no folder is given; name one with -o")
    flags: dict[str, Any] = {
        "prompts": prompts,
        "column": column,
        "backends": backend,
        "teacher": teacher,
        "student": student,
        "limit": limit,
        "concurrency": concurrency,
        "seed": seed,
        "max_length": max_length,
        "output": output,
        "workers": 1,  # its policy is none that other processes have
    }
    settings = load(config, flags)
    roles = _ROLES if ALL_ROLES in settings.backends else [r for r in _ROLES if r in settings.backends]
    if not roles:
        raise ConfigError("no model is given; name the models with --teacher and --student")
    resolved = [_resolve(settings, role) for role in roles]
    console, log, folder = Console(), Console(stderr=True), Path(output)
    found: list[Segment] = []
    with RunDirectory(folder) as directory:
        for one in resolved:
            (role,) = one.backends
            try:
                run_loop(lambda one=one, role=role: _write(one, role, folder / role, log))  # type: ignore[misc]
            finally:
                if (folder / role).exists():
                    directory.keep()
            found += _cut(one, role, folder / role, words, segments)
        _finish(found, folder, console, json)


def _resolve(settings: RunConfig, role: str) -> Resolved:
    """One model's run: each is loaded when its turn comes."""
    from tessy.config import ALL_ROLES, resolve
    from tessy.labelling.sampling import THINKING, Thinking
    from tessy.plugins import Registry
    from tessy.spec import Spec

    registry = Registry.discover()
    registry.add("policy", THINKING, Thinking)
    backends = {name: spec for name, spec in settings.backends.items() if name not in (ALL_ROLES, *_ROLES)}
    backends[role] = settings.backends.get(role) or settings.backends[ALL_ROLES]
    policy = [Spec(THINKING, options={"role": role})]
    return resolve(settings.model_copy(update={"policy": policy, "backends": backends}), registry)[0]


async def _write(resolved: Resolved, role: str, folder: Path, log: Console) -> None:
    from tessy.api.plans import make_plan
    from tessy.cli.progress import shown
    from tessy.execution import execute
    from tessy.labelling.sampling import thinking_plan
    from tessy.stats import Stats

    plan = thinking_plan(make_plan(resolved, folder=folder), role, folder)
    stats = Stats()
    log.print(f"{role} -> {folder}", highlight=False, markup=False, soft_wrap=True)
    async with shown(stats, log):
        await execute(plan, stats, totals=stats.begin)


def _cut(resolved: Resolved, role: str, folder: Path, words: int, limit: int) -> list[Segment]:
    from tessy.labelling.sampling import sampled

    seed, model = resolved.config.seed, resolved.models[role]
    return sampled(folder, role, model=model, words=words, limit=limit, seed=seed)


def _finish(segments: list[Segment], folder: Path, console: Console, json: bool) -> None:
    """Write the segments and say how many there are."""
    import orjson

    from tessy.errors import ConfigError
    from tessy.labelling import write_segments

    path = folder / "segments.jsonl"
    counts = {role: sum(one.author == role for one in segments) for role in _ROLES}
    if not segments:
        raise ConfigError(f"{folder}: the models have thought nothing; do they write their thinking apart?")
    write_segments(path, segments, labelled=False)
    if json:
        print(orjson.dumps({"segments": counts, "file": str(path)}).decode())
        return
    shown = ", ".join(f"{count:,} of the {role}" for role, count in counts.items())
    console.print(f"segments  {shown}", highlight=False, markup=False)
    console.print(f"next      tessy detector annotate {path}", highlight=False, markup=False, soft_wrap=True)
