"""`generate` one row, `stream` many, `run` into a directory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Unpack

import orjson

from tessy.api.plans import make_plan, make_plans
from tessy.api.settings import Config, Prompts, Row, Settings, configure
from tessy.config import Resolved
from tessy.errors import BudgetSpent, ConfigError, TraceError
from tessy.execution import execute, opened
from tessy.observer import Observer
from tessy.plan import Outcome
from tessy.types import Message, Prompt

__all__ = ["generate", "run", "run_async", "stream"]

log: logging.Logger = logging.getLogger("tessy")


async def generate(
    prompt: str | Prompt | Sequence[Message | Mapping[str, str]],
    config: Config = None,
    **settings: Unpack[Settings],
) -> Row:
    """Write one trace.

    Args:
        prompt: the user's text, or a conversation that ends before the assistant's turn.
        config: settings, as a file, a mapping or a `tessy.config.RunConfig`.
        settings: override them: ``teacher``, ``student``, ``policy`` … as SPECs or objects.

    Returns:
        The row, as ``data.jsonl`` would have it.

    Raises:
        ConfigError: something is wrong with the settings or the models.
        TraceError: the trace cannot be finished; ``reason`` says why.
        BudgetSpent: a budget does not suffice for it.
    """
    if isinstance(prompt, (str, Prompt)):
        row: Any = prompt
    else:
        row = Prompt(tuple(m if isinstance(m, Message) else Message(m["role"], m["content"]) for m in prompt))
    async with aclosing(stream([row], config, on_failure="yield", **settings)) as rows:
        async for written in rows:
            if "error" in written:
                raise TraceError(written["error"]["reason"], written["error"]["message"])
            return written
    raise ConfigError("nothing was written: samples and limit must be at least 1")


async def stream(
    prompts: Prompts | None = None,
    config: Config = None,
    *,
    on_failure: Literal["skip", "yield"] = "skip",
    **settings: Unpack[Settings],
) -> AsyncGenerator[Row, None]:
    """Write traces and yield each row as it ends, in whatever order they do.

    With ``output`` (a run directory) all is kept there, a second call goes on where a first one was left,
    and rows that were finished before come first. Without, nothing stays on disk. Leaving the loop early
    stops the models; close the generator (`contextlib.aclosing`) to be sure when.

    Args:
        prompts: a file or data set, or an iterable of texts, rows and `tessy.Prompt`; ``None``: as the
            configuration says.
        config: settings, as a file, a mapping or a `tessy.config.RunConfig`.
        on_failure: what becomes of a row that cannot be finished: ``skip`` logs it, ``yield`` yields it as
            ``failures.jsonl`` has it, with ``error`` and without an answer.
        settings: override those of ``config``: ``teacher``, ``student``, ``policy`` … as SPECs or objects.

    Raises:
        ConfigError, DataError: before anything is written.
        BackendDown: a backend is out of service.
        BudgetSpent: a budget is spent; all rows that have ended are yielded before.
    """
    resolved = configure(config, settings, _named(prompts))
    if len(resolved) != 1:
        raise ConfigError("stream writes under one policy; use tessy.run for several")
    async with AsyncExitStack() as stack:
        folder = None
        if resolved[0].folder is None:
            temporary = stack.enter_context(TemporaryDirectory(prefix="tessy-"))
            folder = Path(temporary) / "run"
        plan = make_plan(resolved[0], folder=folder, prompts=_rows(prompts))
        rows: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def ended(status: str, line: bytes) -> None:
            loop.call_soon_threadsafe(rows.put_nowait, (status, line))

        running = asyncio.ensure_future(execute(plan, Observer(), ended=ended))
        stack.push_async_callback(_stop, running)
        running.add_done_callback(lambda _: rows.put_nowait(None))
        while (item := await rows.get()) is not None:
            row: Row = orjson.loads(item[1])
            if item[0] == "done" or on_failure == "yield":
                yield row
            else:
                log.warning("row %s failed: %s", row["id"], row["error"]["message"])
        outcome = await running
        if outcome.stopped is not None:
            raise BudgetSpent(outcome.stopped)


async def run_async(
    config: Config = None, *, prompts: Prompts | None = None, **settings: Unpack[Settings]
) -> list[Outcome]:
    """Write the traces of all prompts into a run directory, or go on with them; one outcome a policy.

    What ``tessy run`` does. Cancelling it stops the models and commits what is written. A budget that is
    spent stops it in the same way; the last outcome says so in ``stopped``, and policies
    after it are not begun.

    Args:
        config: settings, as a file, a mapping or a `tessy.config.RunConfig`.
        prompts: in place of the configured ones.
        settings: override those of ``config``.

    Raises:
        ConfigError, DataError: before anything is written.
        BackendDown: a backend is out of service; the same call goes on once it is back.
    """
    return await _run(configure(config, settings, _named(prompts)), _rows(prompts))


def run(
    config: Config = None, *, prompts: Prompts | None = None, **settings: Unpack[Settings]
) -> list[Outcome]:
    """`run_async` for programs without an event loop; in a notebook it blocks the cell until it is done."""
    resolved = configure(config, settings, _named(prompts))
    rows = _rows(prompts)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_run(resolved, rows))
    # A loop runs here already (a notebook's): take one of our own, in a thread.
    with ThreadPoolExecutor(1, "tessy-run") as pool:
        return pool.submit(lambda: asyncio.run(_run(resolved, rows))).result()


async def _run(resolved: Sequence[Resolved], rows: Sequence[Any] | None) -> list[Outcome]:
    async with opened(make_plans(resolved, prompts=rows)) as runs:
        outcomes: list[Outcome] = []
        for run in runs:
            outcomes.append(await run.write(Observer()))
            if outcomes[-1].stopped is not None:
                break
        return outcomes


def _named(prompts: Prompts | None) -> str | None:
    return fspath(prompts) if isinstance(prompts, (str, PathLike)) else None


def _rows(prompts: Prompts | None) -> Sequence[Any] | None:
    """Prompts that were given themselves; every policy reads them again."""
    return None if prompts is None or isinstance(prompts, (str, PathLike)) else list(prompts)


async def _stop(running: asyncio.Future[Outcome]) -> None:
    running.cancel()
    await asyncio.wait((running,))
    if not running.cancelled():
        running.exception()  # raised already, or the reader has left
