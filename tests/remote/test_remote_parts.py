"""The parts of the limits layer: window, rates, breaker, headers, statuses."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from helpers import on_virtual_time
from tessy.errors import BackendDown, BackendError, BackendRejected, BackendUnavailable
from tessy.remote.breaker import Breaker
from tessy.remote.files import raise_file_limit
from tessy.remote.rate import Rate
from tessy.remote.retry_after import parse_retry_after
from tessy.remote.status import error_for_status
from tessy.remote.window import Window

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"RETRY-AFTER": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"Retry-After": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0.0),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "kind", "busy"),
    [
        (400, BackendRejected, None),
        (401, BackendRejected, None),
        (402, BackendDown, None),
        (404, BackendRejected, None),
        (408, BackendUnavailable, False),
        (422, BackendRejected, None),
        (429, BackendUnavailable, True),
        (500, BackendUnavailable, False),
        (502, BackendUnavailable, False),
        (503, BackendUnavailable, True),
        (529, BackendUnavailable, True),
        (599, BackendUnavailable, False),
    ],
)
def test_statuses(status: int, kind: type[BackendError], busy: bool | None) -> None:
    error = error_for_status(status, "so it is", {"Retry-After": "4"}, what="openai:m at http://x")
    assert type(error) is kind
    assert "openai:m at http://x" in str(error)
    assert "so it is" in str(error)
    if busy is not None:
        assert isinstance(error, BackendUnavailable)
        assert (error.busy, error.retry_after) == (busy, 4.0)
    if status == 401:
        assert "api_key_env" in str(error)


def test_no_credit_is_no_rate_limit() -> None:
    error = error_for_status(429, "see billing", {}, what="x", no_credit=True)
    assert type(error) is BackendDown
    assert "no credit left (HTTP 429: see billing)" in str(error)


def test_places_are_given_in_order_and_never_lost() -> None:
    async def main() -> None:
        window = Window(2)
        order: list[int] = []

        async def one(i: int) -> None:
            await window.acquire()
            order.append(i)
            await asyncio.sleep(1)
            window.release()

        tasks = [asyncio.create_task(one(i)) for i in range(6)]
        await asyncio.sleep(0.5)
        assert (window.active, window.waiting) == (2, 4)
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 1, 2, 4, 5]
        assert (window.active, window.waiting) == (0, 0)

    on_virtual_time(main())


def test_the_heaviest_of_those_who_wait_goes_first() -> None:
    async def main() -> None:
        window = Window(1)
        await window.acquire()
        order: list[str] = []

        async def one(name: str, weight: float) -> None:
            await window.acquire(weight)
            order.append(name)
            window.release()

        waiting = {"new": 10, "long": 900, "old": 500, "also new": 10, "gone": 1000}
        tasks = {name: asyncio.create_task(one(name, weight)) for name, weight in waiting.items()}
        await asyncio.sleep(0)
        assert window.waiting == 5
        tasks["gone"].cancel()
        await asyncio.sleep(0)
        assert window.waiting == 4
        window.release()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert order == ["long", "old", "new", "also new"]
        assert (window.active, window.waiting) == (0, 0)

    on_virtual_time(main())


def test_those_who_gave_up_waiting_are_forgotten() -> None:
    async def main() -> None:
        window = Window(1)
        await window.acquire()
        for weight in range(1000):
            task = asyncio.create_task(window.acquire(weight))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
        assert window.waiting == 0
        assert len(window._waiters) <= 64
        task = asyncio.create_task(window.acquire())
        await asyncio.sleep(0)
        window.dismiss()
        assert await task is None
        assert (window.active, window.waiting) == (1, 0)

    on_virtual_time(main())


def test_a_place_given_to_a_cancelled_waiter_goes_on_to_the_next() -> None:
    async def main() -> None:
        window = Window(1)
        await window.acquire()
        first = asyncio.create_task(window.acquire())
        second = asyncio.create_task(window.acquire())
        await asyncio.sleep(0)
        window.release()  # the place is the first one's now
        first.cancel()
        await second
        assert window.active == 1

    on_virtual_time(main())


def test_the_window_doubles_then_shrinks_once_a_burst_then_grows_slowly() -> None:
    window = Window(512)
    assert window.limit == 64
    for _ in range(64):
        window.succeeded(full=True)
    assert window.limit == 128
    window.succeeded(full=False)
    assert window.limit == 128
    window.complained(started=1.0, now=5.0)
    window.complained(started=4.0, now=5.5)  # was under way already
    assert window.limit == 89
    window.complained(started=6.0, now=7.0)
    assert window.limit == 62
    for _ in range(62):
        window.succeeded(full=True)
    assert 62.9 < window.limit < 63.1
    for n in range(100):
        window.complained(started=10.0 + n, now=10.5 + n)
    assert window.limit == 1


def test_an_engines_own_queue_stops_growth_and_shrinks() -> None:
    window = Window(512)
    window.observed(running=64, waiting=3, now=1.0)
    window.succeeded(full=True)
    assert window.limit == 64
    for n in range(3):
        window.observed(running=64, waiting=40, now=2.0 + n)
    assert window.limit == 44
    window.observed(running=40, waiting=0, now=9.0)
    window.succeeded(full=True)
    assert window.limit > 44


def test_requests_a_minute() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        rate, at = Rate(60), []

        async def one() -> None:
            await rate.take(1)
            at.append(loop.time())

        await asyncio.gather(*(one() for _ in range(26)))
        return [when - at[0] for when in at]

    at = on_virtual_time(main())
    assert at[5] == 0  # a tenth of a minute's worth at once
    assert at[6] == pytest.approx(1)
    assert at[25] == pytest.approx(20)


def test_a_request_larger_than_the_bucket_goes_into_debt() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        rate, at = Rate(6000), []
        for _ in range(3):
            await rate.take(1000)  # the bucket holds 600
            at.append(loop.time())
        rate.spend(500)
        await rate.take(600)
        at.append(loop.time())
        return [when - at[0] for when in at]

    assert on_virtual_time(main()) == pytest.approx([0, 10, 20, 35])


def test_the_breaker_opens_after_three_failures_and_lets_one_probe_through() -> None:
    breaker = Breaker(random.Random(1))
    breaker.failed(1)
    breaker.failed(1)
    breaker.succeeded()
    breaker.failed(2)
    breaker.failed(2)
    assert breaker.healthy
    breaker.failed(2)
    assert (breaker.state, breaker.allows(2.5)) == ("open", False)
    first = breaker.retry_at - 2
    assert 0.75 <= first <= 1.25
    assert breaker.allows(4)
    probe = breaker.begin()
    assert probe is not None
    assert not breaker.allows(4)
    assert breaker.failed(4, probe)
    assert 1.5 <= breaker.retry_at - 4 <= 2.5
    for _ in range(10):
        assert breaker.failed(100, breaker.begin())
    assert 45 <= breaker.retry_at - 100 <= 60
    breaker.abandoned(200, breaker.begin())
    assert breaker.allows(200)
    breaker.begin()
    breaker.succeeded()
    assert breaker.healthy


def test_requests_older_than_the_outage_say_nothing_of_the_probe() -> None:
    breaker = Breaker(random.Random(1))
    for _ in range(3):
        breaker.failed(1)
    probe = breaker.begin()
    assert not breaker.failed(5)  # begun before the breaker opened
    breaker.abandoned(5, None)
    assert breaker.state == "probing"
    assert breaker.failed(6, probe)
    breaker.begin()
    breaker.abandoned(20, probe)  # a probe of long ago
    assert breaker.state == "probing"


def test_the_file_limit_is_raised_as_far_as_may_be() -> None:
    assert raise_file_limit(64) >= 64
