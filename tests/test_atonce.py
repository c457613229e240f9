"""A coroutine begun before it is awaited is the same coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tessy.atonce import begin


async def finish(work: Awaitable[object]) -> object:
    begun = begin(work)
    return begun[0] if isinstance(begun, tuple) else await begun


async def test_what_never_waits_is_done_at_once() -> None:
    async def work() -> int:
        return 7

    assert begin(work()) == (7,)


async def test_what_waits_goes_on_where_it_was() -> None:
    seen: list[object] = []

    async def work() -> str:
        for i in range(3):
            await asyncio.sleep(0)
            seen.append(i)
        seen.append(await asyncio.gather(asyncio.sleep(0.001, "a"), asyncio.sleep(0, "b")))
        return "end"

    assert await finish(work()) == "end"
    assert seen == [0, 1, 2, ["a", "b"]]


async def test_errors_before_and_after_the_first_wait() -> None:
    async def work(waits: bool) -> None:
        if waits:
            await asyncio.sleep(0)
        raise KeyError(waits)

    for waits in (False, True):
        with pytest.raises(KeyError):
            await finish(work(waits))


async def test_cancellation_reaches_it_and_may_be_caught() -> None:
    caught = []

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            caught.append(True)
            await asyncio.sleep(0)
            raise
        return "never"

    task = asyncio.create_task(finish(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caught == [True]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await finish(work())


async def test_other_awaitables_are_left_as_they_are() -> None:
    future = asyncio.get_running_loop().create_future()
    assert begin(future) is future
    future.set_result(3)
    assert await finish(future) == 3
