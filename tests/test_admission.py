"""Trajectories wait for room in an engine's memory: the youngest, between turns, and never all of them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.admission import Admission, Seat, peak
from tessy.remote import RemoteOptions
from tessy_vllm.metrics import read_kv_tokens

PAGE = 'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100",other="x"} 1.0\n'


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_youngest_wait_and_go_on_when_an_older_one_ends() -> None:
    async def main() -> None:
        told: list[int] = []
        admission = Admission({"teacher": 1000}, told.append)
        order: list[str] = []
        ends = [asyncio.Event() for _ in range(3)]

        async def one(i: int) -> None:
            async with admission.seat() as seat:
                await asyncio.sleep(0)  # all are in before any has grown
                await seat.turn({"teacher": 300})
                order.append(f"begins {i}")
                await ends[i].wait()

        tasks = [asyncio.create_task(one(i)) for i in range(3)]
        await settle()
        # 0.9 x 1000 holds two of 300 + 64.
        assert (order, admission.paused) == (["begins 0", "begins 1"], 1)
        ends[1].set()
        await settle()
        assert (order[-1], admission.paused, told) == ("begins 2", 0, [1, 0])
        ends[0].set()
        ends[2].set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_the_oldest_goes_on_even_alone_over_the_budget() -> None:
    async def main() -> None:
        admission = Admission({"teacher": 100})
        async with admission.seat() as seat:
            await asyncio.wait_for(seat.turn({"teacher": 5000}), 60)

    asyncio.run(main())


def test_a_new_one_enters_only_where_room_is_expected() -> None:
    async def main() -> None:
        admission = Admission({"teacher": 2000})
        async with admission.seat() as seat:
            await seat.turn({"teacher": 1500})
        async with admission.seat() as first:
            await first.turn({"teacher": 10})
            second = asyncio.create_task(entered(admission))
            await settle()
            assert not second.done()  # two would come to 3000 together
        assert await asyncio.wait_for(second, 60) is not None

    asyncio.run(main())


async def entered(admission: Admission) -> Seat:
    async with admission.seat() as seat:
        return seat


def test_waiting_can_be_cancelled_everywhere() -> None:
    async def main() -> None:
        admission = Admission({"teacher": 1000})

        async def one(tokens: int) -> None:
            async with admission.seat() as seat:
                await asyncio.sleep(0)
                await seat.turn({"teacher": tokens})
                await asyncio.Event().wait()

        first, paused = asyncio.create_task(one(800)), asyncio.create_task(one(800))
        await settle()
        queued = asyncio.create_task(entered(admission))
        await settle()
        assert (admission.paused, queued.done()) == (1, False)
        for task in (queued, paused, first):
            task.cancel()
        await asyncio.gather(first, paused, queued, return_exceptions=True)
        assert admission.paused == 0
        await asyncio.wait_for(entered(admission), 60)
        assert (admission._sums, admission._seats, len(admission._queue)) == ({"teacher": 0}, {}, 0)

    asyncio.run(main())


@settings(max_examples=150, deadline=None)
@given(
    budgets=st.dictionaries(st.sampled_from(["teacher", "student"]), st.integers(1, 3000)),
    grows=st.lists(st.lists(st.integers(-500, 900), max_size=6), max_size=12),
    places=st.integers(1, 6),
    cancelled=st.sets(st.integers(0, 11)),
)
def test_all_come_to_their_end(
    budgets: dict[str, int], grows: list[list[int]], places: int, cancelled: set[int]
) -> None:
    """However they grow, shrink or are cancelled: nobody waits for ever, and nothing stays on the account."""

    async def main() -> None:
        admission = Admission(budgets)
        free = asyncio.Semaphore(places)

        async def one(i: int) -> None:
            async with free, admission.seat() as seat:
                size = 0
                for grown in grows[i]:
                    size = max(0, size + grown)
                    await seat.turn({engine: size for engine in budgets})
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(one(i)) for i in range(len(grows))]
        await asyncio.sleep(0)
        for i, task in enumerate(tasks):
            if i in cancelled:
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert (admission.paused, admission._seats) == (0, {})
        assert not any(admission._sums.values())

    asyncio.run(main())


def test_what_is_held_at_most() -> None:
    assert peak([0], 1000) == 1000
    # The one of 900 ends at 1000, when the other has 100; alone it reaches 1000 again.
    assert peak([900, 0], 1000) == 1100
    assert peak([0, 0], 1000) == 2000


def test_what_vllm_says_of_its_memory() -> None:
    assert read_kv_tokens(PAGE) == 1600
    assert read_kv_tokens(PAGE + PAGE.replace('engine="0"', 'engine="1"')) == 3200
    assert read_kv_tokens('vllm:cache_config_info{block_size="16",num_gpu_blocks="None"} 1.0\n') is None
    assert read_kv_tokens("vllm:num_requests_running 1.0\n") is None


@pytest.mark.parametrize(
    ("given_", "said", "budget"),
    [("auto", 500, 500), ("auto", None, None), ("none", 500, None), (0, 500, None), (70, 500, 70)],
)
def test_an_option_has_the_last_word(given_: str | int, said: int | None, budget: int | None) -> None:
    assert RemoteOptions.model_validate({"kv_tokens": given_}).kv_budget(said) == budget
    assert RemoteOptions.model_validate({"kv_tokens": str(given_)}).kv_budget(said) == budget
