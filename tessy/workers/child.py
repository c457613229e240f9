"""A worker process: writes the rows that it is dealt, and sends what is to be journaled."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessy.admission import Admission
from tessy.api.plans import make_crew
from tessy.config import resolve
from tessy.engines import started
from tessy.errors import TessyError
from tessy.journal import Store
from tessy.limits import Limits
from tessy.loops import loop_factory
from tessy.overload import watched
from tessy.plugins import Registry
from tessy.repetition import Repetition
from tessy.rowwriter import RowWriter
from tessy.workers.frames import receive
from tessy.workers.outbox import Outbox
from tessy.workers.recipe import Recipe

__all__ = ["main"]


def main(descriptor: int) -> None:
    """Serve the run's process at the other end of a socket until it says stop, or is gone."""
    # Stopping is the run's process's to say; a terminal or a supervisor may signal all processes at once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(socket.socket(fileno=descriptor)))


async def _serve(sock: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=sock)
    order = await receive(reader)
    if order is None:
        return
    outbox = Outbox(writer)
    dealt: asyncio.Queue[list[int] | None] = asyncio.Queue()
    tasks = asyncio.create_task(_listen(reader, dealt)), asyncio.create_task(outbox.run())
    try:
        await _write(order, dealt, outbox)
    except Exception as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if not isinstance(error, TessyError):
            logging.getLogger("tessy").error("in a worker process", exc_info=error)
        outbox.message(error=[type(error).__name__, str(error)])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await outbox.close()


async def _listen(reader: asyncio.StreamReader, dealt: asyncio.Queue[list[int] | None]) -> None:
    while (message := await receive(reader)) is not None:
        dealt.put_nowait(message)
        if not message:
            dealt.put_nowait(None)
    # The run's process is gone: nothing can be handed over, and engines must not go on for nobody.
    os._exit(1)


async def _write(order: Mapping[str, Any], dealt: asyncio.Queue[list[int] | None], outbox: Outbox) -> None:
    crew = make_crew(resolve(Recipe(order["settings"]).config(), Registry.discover())[0])
    async with started([crew]):
        # Up to here the run's process has warned of the same.
        handler = _Forward(outbox)
        logging.getLogger().addHandler(handler)
        store = Store(Path(order["journal"]), write=False)
        writer = RowWriter(
            crew,
            outbox,
            store,
            seed=order["seed"],
            limits=_limits(order["limits"]),
            observer=outbox.tally,
            admission=Admission(order["kv"], outbox.tally.paused),
            room=outbox.room,
        )
        try:
            async with (
                watched(crew.backends.values(), order["processes"]),
                asyncio.TaskGroup() as group,
            ):
                tasks: set[asyncio.Task[None]] = set()
                while (rows := await dealt.get()) is not None:
                    for n in rows:
                        task = group.create_task(writer.write(n))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                for task in tasks:
                    task.cancel()
        finally:
            writer.close()
            store.close()
            logging.getLogger().removeHandler(handler)


class _Forward(logging.Handler):
    """Warnings are shown where the user looks."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(logging.WARNING)
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        text = logging.Formatter("%(message)s").format(record)
        said = [record.name, record.levelno, text]
        self._loop.call_soon_threadsafe(lambda: self._outbox.message(log=said))


def _limits(plain: dict[str, Any]) -> Limits:
    repetition = plain["repetition"]
    return Limits(**{**plain, "repetition": None if repetition is None else Repetition(**repetition)})
