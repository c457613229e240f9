"""Runs the program's coroutine: a first Ctrl-C or SIGTERM stops it cleanly, a second at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tessy.loops import loop_factory

__all__ = ["INTERRUPTED", "run"]

INTERRUPTED = 130

T = TypeVar("T")


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``main`` to its end, on uvloop where it is installed.

    Raises:
        KeyboardInterrupt: it was interrupted, and has cleaned up.
    """
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_interruptible(main))


async def _interruptible(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(main())
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:
            # The journal is consistent at any instant; nothing else is worth waiting for.
            os._exit(INTERRUPTED)
        interrupted = True
        print("\ntessy: stopping; again to stop at once", file=sys.stderr, flush=True)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        # Once interrupted they stay until the loop is closed: that waits for threads (a model that is
        # being loaded, say), and it must be possible to interrupt that, too.
        if not interrupted:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
