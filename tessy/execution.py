"""Runs: from a resolved configuration to a run directory whose rows are written.

Nothing is spent before everything is known to fit: the directory is locked, prompts are read, engines
are started and asked what they can do, and the run's identity is compared, in that order. Of several runs
that belong together none begins unless all can: they share prompts and engines, and are written in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import yaml

from tessy._version import __version__
from tessy.abc import Backend, StyleDetector, SwitchPolicy
from tessy.admission import Admission
from tessy.boundary import Origin, plugin
from tessy.budget import Budget, Meter
from tessy.capacity import concurrency as most
from tessy.capacity import kv_budgets
from tessy.contexts import warn_narrow
from tessy.crew import Crew
from tessy.dataset import DATA, Dataset
from tessy.directory import JOURNAL, RunDirectory
from tessy.engines import Engines, started
from tessy.errors import ConfigError, TessyError
from tessy.faults import written
from tessy.identity import check_identity
from tessy.ingest import Wanted, ingest, retry_failed
from tessy.journal import Journal, Store
from tessy.observer import Observer
from tessy.overload import watched
from tessy.plan import Outcome, Plan
from tessy.replacing import replacing
from tessy.rows import RowInfo
from tessy.rowwriter import RowWriter
from tessy.scheduler import Scheduler
from tessy.timing import Timing
from tessy.tokens.signature import TOKENIZERS, signature
from tessy.types import Role
from tessy.workers.fleet import Fleet, Order

__all__ = ["Run", "execute", "opened"]

Totals = Callable[[int, int, int], None]
Ended = Callable[[str, bytes], None]


class Run:
    """A run that nothing speaks against: its prompts are in the journal, its engines are started.

    Made by `opened`, and good as long as that lasts.
    """

    def __init__(
        self, plan: Plan, directory: RunDirectory, store: Store, engines: Engines, meter: Meter
    ) -> None:
        self.plan = plan
        self.meter = meter
        self._directory = directory
        self._store = store
        self._engines = engines

    async def write(
        self, observer: Observer, *, totals: Totals | None = None, ended: Ended | None = None
    ) -> Outcome:
        """See `execute`. Once only: engines that no later run needs are closed at the end."""
        plan, store = self.plan, self._store
        dataset = Dataset(plan.folder, store, _row_info(plan, store), ended)
        dataset.tell()
        _report(store, totals)
        stopped = await _write_rows(plan, observer, self._directory, store, dataset, self.meter)
        with written(store.path):
            dataset.rebuild()
        await self._engines.release(plan.crew)
        outcome = self.outcome(stopped)
        # The last row may have spent it.
        return outcome if outcome.done + outcome.failed < outcome.total else replace(outcome, stopped=None)

    def outcome(self, stopped: str | None = None) -> Outcome:
        """What the directory holds when `write` has returned, or was cancelled."""
        rows = self._store.counts()
        return Outcome(
            self.plan.folder, sum(rows.values()), rows.get("done", 0), rows.get("failed", 0), stopped
        )


async def execute(
    plan: Plan, observer: Observer, *, totals: Totals | None = None, ended: Ended | None = None
) -> Outcome:
    """Write every wanted row that is not written yet.

    ``totals``, if given, is called with ``(total, done, failed)`` once they are known. ``ended`` gets every
    wanted row as a line of JSON, with its status ``done`` or ``failed``: first those that earlier processes
    ended, then each as it is committed, from another thread. Cancelling it aborts all streams, commits what
    is queued, and leaves the directory ready to resume.

    Raises:
        ConfigError, DataError, BackendError: before anything is written.
        BackendDown: a backend is out of service.
        TessyError: the journal can no longer be written.
    """
    async with opened([plan]) as (run,):
        return await run.write(observer, totals=totals, ended=ended)


@asynccontextmanager
async def opened(plans: Sequence[Plan]) -> AsyncIterator[Sequence[Run]]:
    """Runs that begin all or not at all, to be written one after the other.

    Equal prompts are read once. What crews share, being the same object, is started once.

    Raises:
        ConfigError, DataError, BackendError: something speaks against one; nothing of any is written.
        TessyError: the disk is full.
    """
    async with AsyncExitStack() as stack:
        journals = [_journal(plan, stack) for plan in plans]
        # Several share a disk, which is what fails here.
        with written(journals[0][1].path if len(plans) == 1 else plans[0].folder.parent):
            engines = await _prepared(plans, journals, stack)
        warn_narrow((plan.crew, plan.limits) for plan in plans)
        meter = _meter(plans, [store for _, store in journals])
        yield [Run(plan, *journal, engines, meter) for plan, journal in zip(plans, journals, strict=True)]


async def _prepared(
    plans: Sequence[Plan], journals: Sequence[tuple[RunDirectory, Store]], stack: AsyncExitStack
) -> Engines:
    """All that stands on the disk before the first row is written; the engines, started for as long."""
    with ExitStack() as transactions:
        # A transaction each, from the prompts to the identity: a run refused on the way changes nothing.
        for _, store in journals:
            transactions.enter_context(store.transaction())
        _ingest(plans, [store for _, store in journals])
        engines = await stack.enter_async_context(started([plan.crew for plan in plans]))
        identities = [_identity(plan) for plan in plans]
        for plan, identity, (_, store) in zip(plans, identities, journals, strict=True):
            check_identity(store, identity, str(plan.folder))
            _note_tokenizers(store, plan.crew)
    for plan, identity, (directory, store) in zip(plans, identities, journals, strict=True):
        directory.keep()
        Dataset(plan.folder, store, _row_info(plan, store)).mend()
        _write_resolved(plan, identity)
    return engines


def _journal(plan: Plan, stack: AsyncExitStack) -> tuple[RunDirectory, Store]:
    """The locked directory of a run, and its journal."""
    directory = stack.enter_context(RunDirectory(plan.folder))
    _check_resume(plan, directory)
    store = Store(directory.journal)
    stack.callback(store.close)
    return directory, store


def _ingest(plans: Sequence[Plan], stores: Sequence[Store]) -> None:
    """Read prompts into the journals; once for all that want the same: standard input has no second time."""
    wanted = [Wanted(plan.prompts, plan.column, plan.limit, plan.samples) for plan in plans]
    waiting = list(zip(wanted, stores, strict=True))
    while waiting:
        first = waiting[0][0]
        ingest([store for its, store in waiting if its == first], first)
        waiting = [(its, store) for its, store in waiting if its != first]
    for plan, store in zip(plans, stores, strict=True):
        if plan.retry_failed:
            retry_failed(store, plan.attempts)


async def _write_rows(
    plan: Plan, observer: Observer, directory: RunDirectory, store: Store, dataset: Dataset, meter: Meter
) -> str | None:
    """The run itself; why it stopped early. Meanwhile the journal's thread alone uses ``store``."""
    reader = Store(directory.journal, write=False)
    pending = reader.pending()
    timing = Timing(meter, store.seconds())
    journal = Journal(
        store,
        ended=dataset.append,
        spent=lambda usage: timing.spend(journal, usage),
        committer=plan.committer,
    )
    journal.start()
    meter.start()
    try:
        stopped = meter.why if pending else None
        if stopped is None:
            work = _rows_written(plan, observer, directory, reader, journal, pending, timing)
            stopped = await _run_until(journal, meter, work)
        await journal.flush()
        # What was under way then is paid for too: one figure, here and in the summary.
        meter.stop()
        return stopped and meter.why
    finally:
        meter.stop()
        timing.save(journal)
        journal.close()
        reader.close()


async def _rows_written(
    plan: Plan,
    observer: Observer,
    directory: RunDirectory,
    reader: Store,
    journal: Journal,
    pending: Sequence[int],
    timing: Timing,
) -> None:
    """Write these rows, in this process or in several."""
    concurrency = min(plan.concurrency or most(plan.crew), max(1, len(pending)))
    if plan.workers > 1 and plan.recipe is not None and pending:
        order = Order(plan.recipe, directory.journal, plan.seed, plan.limits, kv_budgets(plan.crew))
        fleet = Fleet(
            order,
            journal,
            observer,
            lambda usage: timing.spend(journal, usage),
            workers=plan.workers,
            concurrency=concurrency,
        )
        await fleet.run(pending)
        return
    writer = RowWriter(
        plan.crew,
        journal,
        reader,
        seed=plan.seed,
        limits=plan.limits,
        observer=observer,
        admission=Admission(kv_budgets(plan.crew), observer.paused),
    )
    try:
        async with watched(plan.crew.backends.values()):
            await Scheduler(writer.write, concurrency).run(pending)
    finally:
        writer.close()


async def _run_until(journal: Journal, meter: Meter, work: Awaitable[None]) -> str | None:
    """Run ``work``, but stop it when a budget is spent, or the journal can no longer be written.

    Stopped, its streams are aborted and nothing of the drafts in flight is kept, as after Ctrl-C: where
    they would have been cut depends on timing, and the data must not.
    """
    running = asyncio.ensure_future(work)
    broken = asyncio.wrap_future(journal.broken)
    spent = asyncio.ensure_future(meter.spent())
    try:
        await asyncio.wait((running, broken, spent), return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            broken.result()
        if spent.done() and not running.done():
            return spent.result()
        await running
        return None
    except BaseExceptionGroup as group:
        errors = group.exceptions
        raise errors[0] if len(errors) == 1 or isinstance(errors[0], TessyError) else group from None
    finally:
        running.cancel()
        broken.cancel()
        spent.cancel()
        await _over((running, spent))
        if not running.cancelled():
            running.exception()  # seen: what ended the run is being raised already


async def _over(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for the end of what was told to stop, also if that is interrupted: it has to book its costs."""
    interrupted: asyncio.CancelledError | None = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


def _check_resume(plan: Plan, directory: RunDirectory) -> None:
    exists = directory.journal.exists()
    if plan.resume == "always" and not exists:
        raise ConfigError(f"{plan.folder}: no run to resume here (--resume always)")
    if plan.resume == "never" and exists:
        raise ConfigError(f"{plan.folder}: holds a run already (--resume never); choose another -o")
    data = plan.folder / DATA
    if not (exists and directory.journal.stat().st_size) and data.is_file() and data.stat().st_size:
        # It would be made anew from a journal that has no row of it.
        raise ConfigError(
            f"{data}: is there, but not the {JOURNAL} that it was made from; put that back, or choose "
            "another -o"
        )


def _identity(plan: Plan) -> dict[str, Any]:
    crew = plan.crew
    detection = crew.detection
    identity: dict[str, Any] = {
        "policy": {"name": crew.policy_origin.name, **_said(crew.policy_origin, crew.policy)},
        "detector": None
        if detection is None
        else {"name": detection.origin.name, **_said(detection.origin, detection.detector)},
        "models": {
            role: {"backend": crew.origins[role].name, **_said(crew.origins[role], backend)}
            for role, backend in crew.backends.items()
        },
        "seed": plan.seed,
    }
    hidden: dict[str, Any] = plan.hide(identity)
    return hidden


def _note_tokenizers(store: Store, crew: Crew) -> None:
    """Record how each model counts tokens: who reads the run later must not take another tokenizer for it."""
    if store.meta(TOKENIZERS) is None:
        found: dict[Role, list[int] | None] = {}
        for role, backend in crew.backends.items():
            with plugin(crew.origins[role], "count_tokens"):
                found[role] = signature(backend.count_tokens)
        store.set_meta(TOKENIZERS, orjson.dumps(found).decode())


def _said(origin: Origin, part: Backend | StyleDetector | SwitchPolicy) -> dict[str, Any]:
    """A plugin's identity as JSON has it, so that what comes back from the journal compares equal."""
    with plugin(origin, "identity"):
        said: dict[str, Any] = orjson.loads(orjson.dumps(dict(part.identity())))
    return said


def _row_info(plan: Plan, store: Store) -> RowInfo:
    backends = plan.crew.backends
    role = "student" if "student" in backends else next(iter(backends))
    with plugin(plan.crew.origins[role], "row_format"):
        opening, closing = backends[role].row_format()
    return RowInfo(
        policy=plan.policy,
        detector=plan.detector if plan.crew.detection is not None else None,
        models=plan.models,
        seed=plan.seed,
        marks=(opening, closing),
        # A row keeps its name when fewer samples are asked for: ID#1 may be somebody else's id.
        samples=max(plan.samples, store.samples()),
    )


def _write_resolved(plan: Plan, identity: Mapping[str, Any]) -> None:
    document = {"tessy": __version__, **plan.resolved, "identity": identity}
    with replacing(plan.folder / "run.yaml") as file:
        file.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())


def _meter(plans: Sequence[Plan], stores: Sequence[Store]) -> Meter:
    """One for all: what a command may spend is for all its runs together."""
    marks = [(store, store.last_usage()) for store in stores]
    budget = plans[0].budget if plans else Budget()
    prices = {role: price for plan in plans for role, price in plan.budget.prices.items()}
    return Meter(
        replace(budget, prices=prices),
        lambda: [row for store, last in marks for row in store.totals(last)],
        sum(store.seconds() for store in stores),
    )


def _report(store: Store, totals: Totals | None) -> None:
    if totals is not None:
        counts = store.counts()
        totals(sum(counts.values()), counts.get("done", 0), counts.get("failed", 0))
