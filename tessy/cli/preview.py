"""``tessy preview``: one trace, live, both authors in colour; nothing is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.builtin import DEFAULT_POLICY
from tessy.cli.flags import (
    BackendFlag,
    ColumnFlag,
    ConfigFlag,
    DetectorFlag,
    MaxLengthFlag,
    PromptsArgument,
    SeedFlag,
    StudentFlag,
    TeacherFlag,
)

if TYPE_CHECKING:
    from rich.console import Console

    from tessy.config import Resolved

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("preview")(preview)


def preview(
    prompts: PromptsArgument = None,
    column: ColumnFlag = None,
    prompt: Annotated[
        str | None, typer.Option("-p", "--prompt", help="A prompt in place of a file.", show_default=False)
    ] = None,
    backend: BackendFlag = None,
    teacher: TeacherFlag = None,
    student: StudentFlag = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help=f"NAME[?KEY=VALUE&...]; default: {DEFAULT_POLICY}.", metavar="SPEC", show_default=False
        ),
    ] = None,
    detector: DetectorFlag = None,
    config: ConfigFlag = None,
    limit: Annotated[int, typer.Option("-n", "--limit", help="How many prompts of the file.")] = 1,
    seed: SeedFlag = None,
    max_length: MaxLengthFlag = None,
) -> None:
    """Show how a trace is written, live, both authors in colour. Nothing is kept."""
    from tempfile import TemporaryDirectory

    from rich.console import Console

    from tessy.cli.interrupts import run as run_loop
    from tessy.config import load, resolve
    from tessy.errors import ConfigError
    from tessy.plugins import Registry

    if prompts is not None and prompt is not None:
        raise ConfigError("give either a file of prompts or --prompt, not both")
    if prompts is not None and " " in prompts and not Path(prompts).exists():
        raise ConfigError(f"{prompts}: no such file; a prompt in place of a file goes to --prompt")
    with TemporaryDirectory(prefix="tessy-preview-") as folder:
        flags: dict[str, Any] = {
            "prompts": prompts,
            "column": column,
            "backends": backend,
            "teacher": teacher,
            "student": student,
            "policy": [policy] if policy else None,
            "detector": detector,
            "limit": limit,
            "seed": seed,
            "max_length": max_length,
            # One after the other, so that the screen shows one trace at a time.
            "concurrency": 1,
            "workers": 1,
        }
        resolved = resolve(load(config, flags), Registry.discover())
        given = None if prompt is None else [prompt]
        run_loop(lambda: _preview(resolved[0], given, Path(folder) / "run", Console(highlight=False)))


async def _preview(resolved: Resolved, given: list[str] | None, folder: Path, console: Console) -> None:
    from tessy.api.plans import make_plan
    from tessy.cli.live import LiveTrace
    from tessy.cli.trace import legend
    from tessy.execution import execute

    console.print(legend())
    live = LiveTrace(console)
    outcome = await execute(make_plan(resolved, folder=folder, prompts=given), live)
    if outcome.failed:
        raise typer.Exit(3)
