"""Many calls over several endpoints that fail, stall, and come back; on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest

from helpers import on_virtual_time
from tessy.errors import BackendDown, BackendRejected, BackendTimeout, BackendUnavailable
from tessy.remote import Pool, RemoteOptions
from tessy.remote.status import error_for_status


class World:
    """Endpoints as functions of a URL and the time."""

    def __init__(self, *urls: str, **options: Any) -> None:
        self.calls: Counter[str] = Counter()
        self.open = 0
        self.most: Counter[str] = Counter()
        self.now_open: Counter[str] = Counter()
        self.where: dict[str, list[str]] = {}
        self.broken: set[str] = set()
        self.stalled: set[str] = set()
        self.errors: list[Exception] = []
        self.first = 0.1
        self.between = 0.01
        self.items = 5
        self.breaks_after: int | None = None
        self.pool = Pool(urls, RemoteOptions(**options), name="test:model", random=random.Random(7))

    async def serve(self, url: str, key: str = "") -> AsyncGenerator[int, None]:
        self.calls[url] += 1
        self.where.setdefault(key, []).append(url)
        self.open += 1
        self.now_open[url] += 1
        self.most[url] = max(self.most[url], self.now_open[url])
        try:
            if url in self.broken:
                raise BackendUnavailable(f"{url} refuses the connection")
            if self.errors:
                raise self.errors.pop(0)
            await asyncio.sleep(3600 if key in self.stalled else self.first * (20 if "slow" in url else 1))
            for i in range(self.items):
                if i == self.breaks_after:
                    raise BackendUnavailable("broke off")
                yield i
                await asyncio.sleep(self.between)
        finally:
            self.open -= 1
            self.now_open[url] -= 1

    async def read(self, key: str) -> list[int]:
        stream = self.pool.stream(key, lambda url: self.serve(url, key))
        async with aclosing(stream) as items:
            return [item async for item in items]


def test_three_replicas_one_dead_one_slow_one_healthy() -> None:
    async def main() -> World:
        world = World("http://dead", "http://slow", "http://well", max_concurrency=8)
        world.broken = {"http://dead"}

        async def trajectory(key: str) -> None:
            for _ in range(6):
                assert await world.read(key) == [0, 1, 2, 3, 4]

        await asyncio.gather(*(trajectory(f"t{i}") for i in range(60)))
        return world

    world = on_virtual_time(main())
    assert world.open == 0
    stats = world.pool.stats
    for key, urls in world.where.items():
        moves = sum(a != b for a, b in pairwise(urls))
        failures = sum(url == "http://dead" for url in urls)
        assert moves <= failures, (key, urls)
    assert stats["http://dead"].state != "closed"
    assert stats["http://dead"].moves > 0
    assert stats["http://slow"].moves == stats["http://well"].moves == 0
    assert world.calls["http://slow"] > 0
    assert world.most["http://well"] <= 8


def test_a_trajectory_stays_where_it_is_also_when_that_is_busy() -> None:
    async def main() -> World:
        world = World("http://a", "http://b")
        await world.read("k")
        world.errors = [BackendUnavailable("429", busy=True, retry_after=2) for _ in range(5)]
        await world.read("k")
        return world

    world = on_virtual_time(main())
    assert len(set(world.where["k"])) == 1
    assert len(world.where["k"]) == 7


def test_an_endpoint_that_has_died_comes_back_into_use() -> None:
    async def main() -> World:
        world = World("http://a", "http://b")
        for i in range(4):
            await world.read(f"k{i}")
        world.broken = {"http://a"}
        for i in range(8):
            await world.read(f"k{i}")
        assert world.pool.stats["http://a"].state == "open"
        world.broken = set()
        await asyncio.sleep(5)
        before = world.calls["http://a"]
        await asyncio.gather(*(world.read(f"new{i}") for i in range(8)))
        assert world.calls["http://a"] > before
        assert world.pool.stats["http://a"].state == "closed"
        return world

    on_virtual_time(main())


def test_only_one_probe_at_a_time() -> None:
    async def main() -> None:
        world = World("http://a")
        world.broken = {"http://a"}
        tasks = [asyncio.create_task(world.read(f"k{i}")) for i in range(50)]
        await asyncio.sleep(20)
        # Fifty went out before it was known; then one by one, further and further apart.
        assert world.calls["http://a"] <= 50 + 7
        world.broken = set()
        await asyncio.gather(*tasks)

    on_virtual_time(main())


def test_retry_after_is_obeyed() -> None:
    async def main() -> float:
        world = World("http://a")
        world.errors = [BackendUnavailable("429", busy=True, retry_after=30)]
        before = asyncio.get_running_loop().time()
        await world.read("k")
        return asyncio.get_running_loop().time() - before

    assert on_virtual_time(main()) >= 30


def test_an_outage_of_minutes_is_survived_one_beyond_patience_is_not() -> None:
    async def main() -> float:
        world = World("http://a", patience=300)
        world.broken = {"http://a"}
        reading = asyncio.create_task(world.read("k"))
        await asyncio.sleep(200)
        world.broken = set()
        assert await reading == [0, 1, 2, 3, 4]
        world.broken = {"http://a"}
        before = asyncio.get_running_loop().time()
        with pytest.raises(BackendDown, match=r"test:model: .*http://a for 300 seconds"):
            await world.read("k")
        return asyncio.get_running_loop().time() - before

    assert 290 <= on_virtual_time(main()) <= 420


def test_busy_for_ever_ends_too_but_not_while_others_get_through() -> None:
    async def main() -> None:
        world = World("http://a", patience=100)

        async def busy(url: str) -> AsyncGenerator[int, None]:
            raise BackendUnavailable("429", busy=True)
            yield 0

        async def refused() -> None:
            async with aclosing(world.pool.stream("r", busy)) as items:
                async for _ in items:
                    pass

        waiting = asyncio.create_task(refused())
        for i in range(60):
            await world.read(f"k{i}")
            await asyncio.sleep(5)
        assert not waiting.done()
        with pytest.raises(BackendDown):
            await waiting

    on_virtual_time(main())


def test_what_is_refused_is_not_asked_again_and_is_no_failure() -> None:
    async def main() -> World:
        world = World("http://a")
        for _ in range(5):
            world.errors = [BackendRejected("too long")]
            with pytest.raises(BackendRejected):
                await world.read("k")
        return world

    world = on_virtual_time(main())
    assert world.calls["http://a"] == 5
    assert world.pool.stats["http://a"].state == "closed"


def test_a_key_that_is_revoked_ends_the_run_a_prompt_that_is_refused_does_not() -> None:
    async def main() -> None:
        world = World("http://a")
        world.errors = [error_for_status(403, "moderated", {}, what="a")]
        with pytest.raises(BackendRejected, match="403"):
            await world.read("k")
        world.errors = [error_for_status(401, "revoked", {}, what="a")]
        with pytest.raises(BackendDown, match="key is refused"):
            await world.read("k")

    on_virtual_time(main())


def test_a_stream_that_breaks_off_is_the_callers_to_ask_for_again() -> None:
    async def main() -> World:
        world = World("http://a", "http://b")
        world.breaks_after = 2
        got = []
        with pytest.raises(BackendUnavailable, match="broke off"):
            async with aclosing(world.pool.stream("k", lambda url: world.serve(url, "k"))) as items:
                async for item in items:
                    got.append(item)
        assert got == [0, 1]
        world.breaks_after = None
        assert await world.read("k") == [0, 1, 2, 3, 4]
        return world

    world = on_virtual_time(main())
    assert world.where["k"] == ["http://a", "http://b"]


def test_a_stream_that_stalls_names_its_option() -> None:
    async def main() -> World:
        world = World("http://a", token_timeout=2)
        world.between = 10
        with pytest.raises(BackendTimeout, match="token_timeout"):
            await world.read("k")
        return world

    world = on_virtual_time(main())
    assert (world.open, world.calls["http://a"]) == (0, 1)


def test_one_request_that_is_never_answered_fails_while_others_are() -> None:
    async def main() -> World:
        world = World("http://a", first_token_timeout=3)
        world.stalled = {"k"}
        doomed = asyncio.create_task(world.read("k"))
        while not doomed.done():
            assert await world.read("other") == [0, 1, 2, 3, 4]
        with pytest.raises(BackendTimeout, match="first_token_timeout"):
            await doomed
        return world

    world = on_virtual_time(main())
    assert (world.open, len(world.where["k"])) == (0, 4)


def test_one_request_that_is_never_answered_alone_ends_no_run_but_a_second_does() -> None:
    async def main() -> World:
        world = World("http://a", first_token_timeout=3, patience=60)
        world.stalled = {"k", "next"}
        assert await world.read("other") == [0, 1, 2, 3, 4]
        with pytest.raises(BackendTimeout, match="this request alone") as caught:
            await world.read("k")
        assert not caught.value.again
        # Answered in between, the backend is known to be well: again it may be the request.
        assert await world.read("other") == [0, 1, 2, 3, 4]
        with pytest.raises(BackendTimeout, match="this request alone"):
            await world.read("k")
        with pytest.raises(BackendDown, match="first_token_timeout"):
            await world.read("next")
        return world

    assert on_virtual_time(main()).open == 0


def test_where_no_request_is_answered_the_backend_is_down() -> None:
    async def main() -> World:
        world = World("http://a", first_token_timeout=3, patience=60)
        world.stalled = {"k"}
        with pytest.raises(BackendDown, match="first_token_timeout"):
            await world.read("k")
        assert 60 <= asyncio.get_running_loop().time() < 75
        return world

    assert on_virtual_time(main()).open == 0


def test_closing_and_cancelling_give_the_place_back_at_once() -> None:
    async def main() -> None:
        world = World("http://a", max_concurrency=1)
        stream = world.pool.stream("k", lambda url: world.serve(url, "k"))
        assert await anext(stream) == 0
        waiting = asyncio.create_task(world.read("other"))
        await asyncio.sleep(1)
        assert not waiting.done()
        await stream.aclose()
        assert world.open == 0
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert world.pool.stats["http://a"].active == 0
        assert await world.read("third") == [0, 1, 2, 3, 4]

    on_virtual_time(main())


@pytest.mark.parametrize("seed", range(12))
def test_no_place_leaks_whatever_happens(seed: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        world = World("http://a", "http://b", "http://c", max_concurrency=4, patience=1e6)

        async def serve(url: str) -> AsyncGenerator[int, None]:
            async with aclosing(world.serve(url)) as items:
                async for item in items:
                    if chance.random() < 0.1:
                        raise chance.choice(
                            [
                                BackendUnavailable("x"),
                                BackendUnavailable("y", busy=True),
                                BackendRejected("z"),
                            ]
                        )
                    yield item

        async def reader(i: int) -> None:
            try:
                async with aclosing(world.pool.stream(f"k{i}", serve)) as items:
                    async for _ in items:
                        if chance.random() < 0.1:
                            break
            except (BackendUnavailable, BackendRejected):
                pass
            finally:
                world.pool.forget(f"k{i}")

        async def trouble() -> None:
            while True:
                await asyncio.sleep(0.3)
                world.broken = {url for url in ("http://a", "http://b", "http://c") if chance.random() < 0.3}
                if alive := [task for task in tasks if not task.done()]:
                    chance.choice(alive).cancel()

        tasks = [asyncio.create_task(reader(i)) for i in range(150)]
        nuisance = asyncio.create_task(trouble())
        await asyncio.wait(tasks)
        nuisance.cancel()
        await asyncio.wait([nuisance])
        assert world.open == 0
        for stats in world.pool.stats.values():
            assert stats.active == 0
        assert all(one.keys == 0 for one in world.pool._endpoints)
        assert all(one.window.waiting == 0 for one in world.pool._endpoints)

    on_virtual_time(main())


def test_a_call_returns_its_answer() -> None:
    async def main() -> None:
        world = World("http://a")

        async def ask(url: str) -> str:
            if world.errors:
                raise world.errors.pop()
            return f"answer of {url}"

        world.errors = [BackendUnavailable("once")]
        assert await world.pool.call("k", ask) == "answer of http://a"

    on_virtual_time(main())
