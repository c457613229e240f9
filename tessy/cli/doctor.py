"""``tessy doctor``: what backends can do, tried out, before money or a night is spent on a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tessy.cli.flags import BackendFlag, ConfigFlag, JsonFlag, StudentFlag, TeacherFlag

if TYPE_CHECKING:
    from rich.console import Console

    from tessy.doctor import Diagnosis, Finding, Report, Settings, Target
    from tessy.plugins import Registry

__all__ = ["register"]

_UNUSABLE = 2
_MARKS = {
    "ok": ("✓", "green"),
    "bad": ("✗", "red"),
    "error": ("✗", "red"),
    "unsure": ("–", "yellow"),
    "skipped": ("–", "dim"),
}
_SHOWN = 60
_INDENT = 24


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Backends without a role: NAME:MODEL[@URL][?KEY=VALUE&...].",
            metavar="[SPEC]...",
            show_default=False,
        ),
    ] = None,
    backend: BackendFlag = None,
    teacher: TeacherFlag = None,
    student: StudentFlag = None,
    config: ConfigFlag = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Spend at most so many tokens on each backend; 0: only start it. Default: no limit.",
            min=0,
            show_default=False,
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Streams at once when speed is measured.", min=1)] = 8,
    timeout: Annotated[float, typer.Option(help="Seconds for each check.", min=0.1)] = 60.0,
    start_timeout: Annotated[float, typer.Option(help="Seconds for a start.", min=0.1)] = 600.0,
    json: JsonFlag = False,
) -> None:
    """Try backends out: what they can do, how fast, in which policies.

    Says first how many tokens that takes at most. Exit codes: 0 all can be used, 2 one cannot be started.
    """
    from secrets import token_hex

    from rich.console import Console

    from tessy.builtin import EXAMPLES
    from tessy.cli.interrupts import run as run_loop
    from tessy.config import load
    from tessy.doctor import Settings, targets
    from tessy.errors import ConfigError
    from tessy.plugins import Registry

    flags: dict[str, Any] = {"backends": backend, "teacher": teacher, "student": student}
    chosen = targets(specs or (), load(config, flags))
    if not chosen:
        raise ConfigError(f"no backends are given; name some, as in: tessy doctor {EXAMPLES['backend']}")
    settings = Settings(max_tokens, concurrency, timeout, start_timeout, nonce=token_hex(4))
    registry = Registry.discover()
    diagnosis = run_loop(lambda: _examine(chosen, registry, settings, Console(stderr=True)))
    if json:
        import orjson

        print(orjson.dumps(_cleaned(diagnosis.as_json()), default=str, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(Console(), diagnosis)
    if not diagnosis.usable:
        raise typer.Exit(_UNUSABLE)


async def _examine(
    targets: Sequence[Target], registry: Registry, settings: Settings, log: Console
) -> Diagnosis:
    """Examine, and say on standard error what it will cost and what it is doing."""
    from contextlib import nullcontext

    from rich.markup import escape

    from tessy.cli.clean import clean
    from tessy.doctor import Watcher, examine

    class Telling(Watcher):
        def begins(self, report: Report, check: str) -> None:
            if status is not None:
                status.update(escape(clean(f"{report.spec}: {check} …")))

        def starts(self, report: Report) -> None:
            if report.starting:
                _line(log, f"{report.spec}: its start spends at most {report.starting:,} tokens")

        def announced(self, reports: Sequence[Report]) -> None:
            for report in reports:
                if report.bound is not None:
                    _line(log, f"{report.spec}: {_announcement(report)}")

    with log.status("…") if log.is_terminal else nullcontext() as status:
        return await examine(targets, registry, settings, Telling())


def _announcement(report: Report) -> str:
    bound = report.bound
    if bound is None or not report.planned:
        return "spends no tokens"
    return f"spends at most {bound.total:,} tokens ({bound.prompt:,} prompt, {bound.generated:,} generated)"


def _print(console: Console, diagnosis: Diagnosis) -> None:
    for report in diagnosis.reports:
        roles = f"  ({', '.join(report.roles)})" if report.roles else ""
        _line(console, f"{report.spec}{roles}", style="bold")
        for found in report.findings:
            _finding(console, found)
        for name, fact in report.facts.items():
            _line(console, f"    {name}: {_fact(fact)}", style="dim")
        if report.bound is not None:
            spent = report.spent.prompt + report.spent.generated
            start = f", and at most {report.starting:,} on its start" if report.starting else ""
            _line(
                console, f"    spent {spent:,} of at most {report.bound.total:,} tokens{start}", style="dim"
            )
        _line(console, "")
    _line(console, "policies, with their default options", style="bold")
    for verdict in diagnosis.policies:
        if verdict.error is not None:
            _marked(console, "error", verdict.policy, verdict.error)
        for cast in verdict.castings:
            said = cast.reason or (f"perhaps: {cast.doubt}" if cast.doubt else "ok")
            status = "bad" if cast.reason else "unsure" if cast.doubt else "ok"
            _marked(console, status, f"{verdict.policy}, {cast.role}", f"{cast.spec}: {said}")


def _finding(console: Console, found: Finding) -> None:
    said = ""
    if found.said is not None:
        text = found.said if len(found.said) <= _SHOWN else f"{found.said[:_SHOWN]}…"
        said = f" “{text.replace(chr(10), '↵')}”"
    _marked(console, found.status, found.check, found.summary + said)


def _marked(console: Console, status: str, name: str, text: str) -> None:
    mark, style = _MARKS[status]
    # An error's further lines stand below its first.
    indented = text.replace("\n", f"\n{'':{_INDENT + 4}}")
    _line(console, f"{name:<{_INDENT}}{indented}", before=(f"  {mark} ", style))


def _line(console: Console, text: str, style: str = "", before: tuple[str, str] = ("", "")) -> None:
    """Text and nothing but text: no markup, no emoji, no wrapping where there is no terminal."""
    from rich.text import Text

    from tessy.cli.clean import clean

    console.print(Text.assemble(before, (clean(text), style)), soft_wrap=True)


def _fact(value: Any) -> str:
    import orjson

    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _cleaned(value: Any) -> Any:
    """JSON whose strings cannot command a terminal."""
    from tessy.cli.clean import clean

    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, (list, tuple)) else value
