"""One timer for all items of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tessy.stall import Late, Stall
from tessy.testing import run_virtual


async def items(*pauses: float) -> AsyncGenerator[float, None]:
    for pause in pauses:
        await asyncio.sleep(pause)
        yield pause


async def read(stream: AsyncGenerator[float, None], limit: float, between: float = 0.0) -> list[float]:
    stall, found = Stall(), []
    try:
        while True:
            found.append(await stall.next(stream, limit))
            await asyncio.sleep(between)
    except StopAsyncIteration:
        return found
    finally:
        stall.close()
        await stream.aclose()


def test_each_item_has_its_own_time() -> None:
    assert run_virtual(read(items(3, 3, 3, 3), 4)) == [3, 3, 3, 3]


def test_time_between_two_waits_does_not_count() -> None:
    assert run_virtual(read(items(3, 3), 4, between=100)) == [3, 3]


@pytest.mark.parametrize("pauses", [(5,), (1, 5), (3, 3, 5)])
def test_a_late_item(pauses: tuple[float, ...]) -> None:
    async def late() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(Late):
            await read(items(*pauses), 4)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "nothing is left of it"
        return loop.time()

    assert run_virtual(late()) == pytest.approx(sum(pauses[:-1]) + 4)


def test_a_shorter_limit_than_before_is_kept() -> None:
    async def twice() -> float:
        loop, stall, stream = asyncio.get_running_loop(), Stall(), items(1, 50)
        assert await stall.next(stream, 100) == 1
        with pytest.raises(Late):
            await stall.next(stream, 5)
        stall.close()
        return loop.time()

    assert run_virtual(twice()) == pytest.approx(6)


def test_cancellation_from_outside_is_no_time_out() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(read(items(50), 100))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(cancelled())


def test_a_time_out_of_the_stream_itself_passes() -> None:
    async def own() -> AsyncGenerator[float, None]:
        async with asyncio.timeout(1):
            await asyncio.sleep(50)
        yield 1

    async def reading() -> None:
        with pytest.raises(TimeoutError) as caught:
            await read(own(), 100)
        assert not isinstance(caught.value, Late)

    run_virtual(reading())


@pytest.mark.parametrize("answer", [ValueError("lost"), 7.0])
def test_nothing_is_left_of_a_time_out_that_a_stream_answers_in_its_own_way(
    answer: Exception | float,
) -> None:
    async def stubborn() -> AsyncGenerator[float, None]:
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            if isinstance(answer, Exception):
                raise answer from None
            yield answer

    async def reading() -> None:
        task = asyncio.current_task()
        assert task is not None
        if isinstance(answer, Exception):
            with pytest.raises(ValueError, match="lost"):
                await read(stubborn(), 4)
        else:
            assert await read(stubborn(), 4) == [answer]
        assert task.cancelling() == 0, "a later cancellation would be taken for this one"

    run_virtual(reading())
