"""A time limit that holds, whatever the limited work does when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["limited"]

T = TypeVar("T")

_GRACE = 2.0
_ATTEMPTS = 2


async def limited(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The result of ``work``, which is cancelled when ``seconds`` are over.

    Unlike `asyncio.timeout` it does not wait for what hangs while it is being cancelled, for instance an
    engine that never lets go of a stream: after two attempts the task is left to the loop's own end.

    Raises:
        TimeoutError: the time was over.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if done:
            if task.cancelled():
                raise RuntimeError("it cancelled itself")
            return task.result()
    finally:
        for _ in range(_ATTEMPTS):
            if task.done():
                break
            task.cancel()
            await asyncio.wait((task,), timeout=_GRACE)
        if task.done() and not task.cancelled():
            task.exception()  # seen: that the time was over is what matters
    raise TimeoutError(f"no answer within {seconds:g} s")
