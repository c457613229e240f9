"""``tessy run``: write the traces of all prompts into a run directory, or go on with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.builtin import DEFAULT_POLICY
from tessy.cli.flags import (
    BackendFlag,
    BudgetCostFlag,
    BudgetTimeFlag,
    BudgetTokensFlag,
    ColumnFlag,
    ConcurrencyFlag,
    ConfigFlag,
    DetectorFlag,
    JsonFlag,
    LimitFlag,
    MaxLengthFlag,
    PriceFlag,
    PromptsArgument,
    RepetitionFlag,
    SeedFlag,
    StudentFlag,
    TeacherFlag,
    WorkersFlag,
)

if TYPE_CHECKING:
    from rich.console import Console

    from tessy.config import Resolved

__all__ = ["register"]

_SOME_FAILED = 3
_BUDGET_SPENT = 4
_INTERRUPTED = "interrupted; the same command goes on"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    prompts: PromptsArgument = None,
    column: ColumnFlag = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="The run directory.", show_default=False)
    ] = None,
    backend: BackendFlag = None,
    teacher: TeacherFlag = None,
    student: StudentFlag = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"NAME[?KEY=VALUE&...]; default: {DEFAULT_POLICY}. Several write a folder each below -o.",
            metavar="SPEC",
            show_default=False,
        ),
    ] = None,
    detector: DetectorFlag = None,
    config: ConfigFlag = None,
    limit: LimitFlag = None,
    samples: Annotated[
        int | None, typer.Option(help="Traces a prompt, with ids ID#k; default: 1.", show_default=False)
    ] = None,
    concurrency: ConcurrencyFlag = None,
    workers: WorkersFlag = None,
    seed: SeedFlag = None,
    max_length: MaxLengthFlag = None,
    repetition: RepetitionFlag = None,
    budget_tokens: BudgetTokensFlag = None,
    budget_cost: BudgetCostFlag = None,
    budget_time: BudgetTimeFlag = None,
    price: PriceFlag = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="auto: go on with what -o holds; always: insist on it; never: refuse it.",
            metavar="auto|always|never",
            show_default=False,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed rows again, with another seed.")
    ] = False,
    attempts: Annotated[
        int | None,
        typer.Option(
            help="With --retry-failed: times that a row is tried in all; default: 4.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, estimate tokens and cost, write nothing.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Write traces: every prompt gets one, by teacher and student together.

    The same command goes on where it was stopped or killed. Exit codes: 0 all rows done, 2 wrong use or
    configuration, 3 done with rows in failures.jsonl, 4 a budget is spent, 130 interrupted.
    """
    from rich.console import Console

    from tessy.cli.interrupts import run as run_loop
    from tessy.config import load, resolve
    from tessy.plugins import Registry

    flags: dict[str, Any] = {
        "prompts": prompts,
        "column": column,
        "output": output,
        "backends": backend,
        "teacher": teacher,
        "student": student,
        "policy": policy,
        "detector": detector,
        "limit": limit,
        "samples": samples,
        "concurrency": concurrency,
        "workers": workers,
        "seed": seed,
        "max_length": max_length,
        "repetition": repetition,
        "budget_tokens": budget_tokens,
        "budget_cost": budget_cost,
        "budget_time": budget_time,
        "prices": price,
        "resume": resume,
        "retry_failed": retry_failed,
        "attempts": attempts,
        "dry_run": dry_run,
    }
    settings = load(config, flags)
    resolved = resolve(settings, Registry.discover())
    console, log = Console(), Console(stderr=True)
    if settings.dry_run:
        run_loop(lambda: _check(resolved, console, json))
        return
    failed, stopped = run_loop(lambda: _run(resolved, console, log, json))
    if stopped is not None:
        log.print(f"tessy: {stopped}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(_BUDGET_SPENT)
    if failed:
        raise typer.Exit(_SOME_FAILED)


async def _run(
    resolved: Sequence[Resolved], console: Console, log: Console, json: bool
) -> tuple[int, str | None]:
    """Run policy after policy; how many rows have failed in all, and which budget ended it early.

    Interrupted, it says as much of what is done and spent, and what interrupted it goes on.
    """
    import asyncio

    from tessy.api.plans import make_plans
    from tessy.cli.progress import shown
    from tessy.cli.summary import print_comparison, print_summary, summary
    from tessy.execution import opened
    from tessy.stats import Stats

    plans = make_plans(resolved)
    several = len(plans) > 1
    figures, stopped, interrupted = [], None, None
    async with opened(plans) as runs:
        for run in runs:
            plan, stats = run.plan, Stats()
            title = f"policy {plan.folder.name}" if several else "tessy"
            if several:
                log.print(f"{title} -> {plan.folder}", highlight=False, markup=False, soft_wrap=True)
            try:
                async with shown(stats, log, title, run.meter):
                    outcome = await run.write(stats, totals=stats.begin)
            except asyncio.CancelledError as error:
                interrupted, outcome = error, run.outcome(_INTERRUPTED)
            stopped = outcome.stopped
            figures.append(summary(plan.policy, outcome, stats.elapsed, run.meter))
            if not json:
                print_summary(console, figures[-1], plan.folder.name if several else None)
                if run.meter.budgeted:
                    console.print(
                        f"spent     {run.meter.shown}", highlight=False, markup=False, soft_wrap=True
                    )
            if stopped is not None:
                break
    if json:
        import orjson

        print(orjson.dumps(figures if several else figures[0]).decode())
    elif several:
        print_comparison(console, figures)
    if interrupted is not None:
        log.print(f"tessy: {_INTERRUPTED}", highlight=False, markup=False, soft_wrap=True)
        raise interrupted
    return sum(entry["rows"]["failed"] for entry in figures), stopped


async def _check(resolved: Sequence[Resolved], console: Console, json: bool) -> None:
    """Start everything, read all prompts, and say what there is to do."""
    from tessy.api.plans import make_plans
    from tessy.cli.estimate import estimate, say
    from tessy.cli.fitting import PromptSizes, say_fits, say_misfits
    from tessy.engines import started
    from tessy.prompts import read_prompts

    plans = make_plans(resolved)
    async with started([plan.crew for plan in plans]):
        sizes = PromptSizes(plans)
        for row in read_prompts(plans[0].prompts, column=plans[0].column, limit=plans[0].limit):
            sizes.add(row.prompt)
    figures: list[dict[str, Any]] = [
        {
            "policy": plan.policy,
            "folder": str(plan.folder),
            "traces": sizes.prompts * plan.samples,
            "workers": plan.workers,
            **sizes.figures(plan),
            "estimate": estimate(plan, sizes.prompts * plan.samples),
        }
        for plan in plans
    ]
    if json:
        import orjson

        print(orjson.dumps(figures[0] if len(figures) == 1 else figures).decode())
        return
    for entry in figures:
        console.print(
            f"policy {_shortened(entry['policy'])}: {say_fits(entry)}; {entry['traces']:,} traces to write "
            f"into {entry['folder']}, prompts of {entry['prompt_tokens']:,} tokens"
            f"{_workers(entry['workers'])}\n"
            + "\n".join(f"  {text}" for text in (*say_misfits(entry), say(entry["estimate"]))),
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _workers(count: int) -> str:
    return f", {count} worker processes" if count > 1 else ""


def _shortened(policy: str) -> str:
    """A rubric may be among the options."""
    return policy if len(policy) <= 80 else policy[:79] + "…"
