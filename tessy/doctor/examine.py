"""The examination: start all, say what it may cost, check one after the other, close all."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tessy.abc import Backend
from tessy.boundary import Origin, plugin
from tessy.doctor.check import Check
from tessy.doctor.closing import GOES_ON, Closing
from tessy.doctor.continuing import MidWord, PlantedNumber
from tessy.doctor.controls import ControlTokens
from tessy.doctor.cost import Cost
from tessy.doctor.finding import Finding, Report
from tessy.doctor.policies import PolicyVerdict, judge_policies
from tessy.doctor.speed import PrefixCache, Throughput
from tessy.doctor.subject import Subject
from tessy.doctor.target import Target
from tessy.doctor.timing import limited
from tessy.errors import ConfigError, TessyError
from tessy.plugins import Registry
from tessy.variables import fold

__all__ = ["Diagnosis", "Settings", "Watcher", "examine"]


@dataclass(frozen=True)
class Settings:
    """How to examine.

    Attributes:
        max_tokens: to spend on each backend, at most; ``None``: what start and checks need.
        concurrency: streams at once in the second measurement of speed.
        timeout, start_timeout: seconds for each check, and for a start.
        nonce: differs from one examination to the next.
        clock: seconds.
    """

    max_tokens: int | None = None
    concurrency: int = 8
    timeout: float = 60.0
    start_timeout: float = 600.0
    nonce: str = "doctor"
    clock: Callable[[], float] = time.perf_counter

    def checks(self) -> list[Check]:
        """All checks, in order: the cheap ones and those that matter most first."""
        speed = [Throughput(n) for n in dict.fromkeys((1, self.concurrency))]
        return [PlantedNumber(), MidWord(), ControlTokens(), Closing(), *speed, PrefixCache()]


@dataclass(frozen=True)
class Diagnosis:
    """All that was found."""

    reports: Sequence[Report]
    policies: Sequence[PolicyVerdict] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether every backend could be started."""
        return all(report.usable for report in self.reports)

    def as_json(self) -> dict[str, Any]:
        """One document, figures as numbers."""
        return {
            "usable": self.usable,
            "backends": [report.as_json() for report in self.reports],
            "policies": [verdict.as_json() for verdict in self.policies],
        }


class Watcher:
    """Told what happens while it happens; does nothing by itself."""

    def begins(self, report: Report, check: str) -> None:
        """A check (or ``start``) of a backend begins."""

    def starts(self, report: Report) -> None:
        """A backend is about to be started, which may cost up to ``report.starting`` tokens."""

    def announced(self, reports: Sequence[Report]) -> None:
        """All are started, nothing is spent yet; each report says what its checks may spend at most."""


async def examine(
    targets: Sequence[Target], registry: Registry, settings: Settings, watcher: Watcher | None = None
) -> Diagnosis:
    """Examine the backends; what is wrong with one is a finding in its report, and the others go on."""
    watcher = watcher or Watcher()
    reports: list[Report] = []
    running: list[tuple[Report, Backend, Origin, Subject | None]] = []
    try:
        for target in targets:
            report = Report(target.shown, target.roles, target.variables)
            reports.append(report)
            watcher.begins(report, "start")
            await _start(target, report, registry, settings, watcher, running)
        for report, _, _, subject in running:
            if subject is not None:
                _plan(report, subject, settings)
        watcher.announced(reports)
        for report, _, _, subject in running:
            if subject is not None:
                await _examine(report, subject, settings, watcher)
    finally:
        for report, backend, origin, _ in reversed(running):
            async with _noted(report, "close"):
                await limited(_called(origin, "close", backend.close), settings.timeout)
    for report in reports:
        _unexpand(report)
    return Diagnosis(reports, judge_policies(registry, reports))


async def _start(
    target: Target,
    report: Report,
    registry: Registry,
    settings: Settings,
    watcher: Watcher,
    running: list[tuple[Report, Backend, Origin, Subject | None]],
) -> None:
    subject = None
    begin = settings.clock()
    async with _noted(report, "start"):
        backend, origin = target.build(registry)
        with plugin(origin, "start_cost"):
            report.starting = backend.start_cost()
        if settings.max_tokens is not None and report.starting > settings.max_tokens:
            raise ConfigError(
                f"is not started: that alone may take {report.starting:,} tokens, more than --max-tokens "
                "allows, to find out what the service can do; allow them, or tell it in the SPEC"
            )
        watcher.starts(report)
        place = len(running)
        running.append((report, backend, origin, None))
        await limited(_called(origin, "start", backend.start), settings.start_timeout)
        report.seconds = settings.clock() - begin
        role = target.roles[0] if target.roles else "student"
        subject = Subject(backend, origin, role=role, nonce=settings.nonce, clock=settings.clock)
        with plugin(origin, "identity"):
            report.template = backend.identity().get("template")
        report.thinks, report.capabilities, report.usable = subject.thinks, subject.capabilities, True
        running[place] = (report, backend, origin, subject)
        report.findings.append(_started(report))


def _started(report: Report) -> Finding:
    """What is known from the start alone."""
    context = report.capabilities.context if report.capabilities is not None else None
    parts = [
        f"after {report.seconds:.2f} s",
        "context unknown" if context is None else f"context of {context:,} tokens",
        "thinks" if report.thinks else "does not think",
    ]
    if report.template is not None:
        parts.append(f"template {report.template}")
    return Finding("start", "ok", ", ".join(parts), "usable", figures={"seconds": round(report.seconds, 3)})


def _plan(report: Report, subject: Subject, settings: Settings) -> None:
    """Choose the checks that fit into the budget, and with them the bound."""
    bound, planned = Cost(), []
    for check in settings.checks():
        if check.unfit(subject) is not None:
            continue
        total = bound + check.cost(subject)
        if settings.max_tokens is None or report.starting + total.total <= settings.max_tokens:
            bound = total
            planned.append(check.name)
    report.bound, report.planned = bound, tuple(planned)


async def _examine(report: Report, subject: Subject, settings: Settings, watcher: Watcher) -> None:
    assert report.bound is not None
    lost = 0
    for check in settings.checks():
        why = check.unfit(subject)
        if why is None:
            cost = check.cost(subject).total
            spent = subject.spent.prompt + subject.spent.generated + lost
            if check.name not in report.planned:
                why = f"it may take {cost:,} tokens, more than --max-tokens leaves"
            elif spent + cost > report.bound.total:
                # The model's template takes more than was allowed for.
                why = (
                    f"it may take {cost:,} tokens, {report.bound.total - spent:,} of those announced are left"
                )
        if why is not None:
            report.findings.append(Finding(check.name, "skipped", f"skipped: {why}"))
            continue
        watcher.begins(report, check.name)
        async with _noted(report, check.name):
            report.findings.append(await limited(check.run(subject), settings.timeout))
        last = report.findings[-1]
        if last.status == "error" or last.verdict == GOES_ON:
            # What it was doing, or still does, is not in the session's count.
            lost += cost
    report.spent = subject.spent
    async with _noted(report, "facts"):
        with plugin(subject.origin, "facts"):
            report.facts = dict(subject.backend.facts())


async def _called(origin: Origin, doing: str, call: Callable[[], Awaitable[None]]) -> None:
    with plugin(origin, doing):
        await call()


@asynccontextmanager
async def _noted(report: Report, check: str) -> AsyncIterator[None]:
    """What is raised inside becomes a finding."""
    try:
        yield
    except TimeoutError as error:
        report.findings.append(Finding(check, "error", f"timed out: {error}", "timed out"))
    except TessyError as error:
        report.findings.append(Finding(check, "error", str(error), "failed"))
    except Exception as error:
        report.findings.append(Finding(check, "error", f"{type(error).__name__}: {error}", "failed"))


def _unexpand(report: Report) -> None:
    """Put the names of variables where their values stand in what plugins said."""
    facts: Mapping[str, Any] = fold(report.facts, report.variables)
    report.facts = facts
    report.findings = [
        Finding(
            found.check,
            found.status,
            fold(found.summary, report.variables),
            found.verdict,
            found.said,
            found.figures,
        )
        for found in report.findings
    ]
