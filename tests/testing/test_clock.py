from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tessy.testing import VirtualTimeLoop, run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


def test_an_hour_takes_no_time() -> None:
    async def main() -> str:
        await asyncio.sleep(3600)
        assert now() == pytest.approx(3600)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        assert now() == pytest.approx(3660)
        return "done"

    began = time.monotonic()
    assert run_virtual(main()) == "done"
    assert time.monotonic() - began < 5


def test_timers_fire_in_their_order_each_at_its_time() -> None:
    fired: list[tuple[str, float]] = []

    async def after(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        fired.append((name, now()))

    async def main() -> None:
        waits = {"c": 3.0, "a": 0.001, "d": 3.0, "b": 2.5}
        await asyncio.gather(*(after(name, seconds) for name, seconds in waits.items()))

    run_virtual(main())
    assert [name for name, _ in fired] == ["a", "b", "c", "d"]
    assert [at for _, at in fired] == pytest.approx([0.001, 2.5, 3.0, 3.0])


def test_what_is_ready_runs_before_time_goes_on() -> None:
    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        assert now() == 0.0

    run_virtual(main())


def test_time_stands_still_while_a_thread_works() -> None:
    async def main() -> None:
        release = threading.Event()

        def work() -> str:
            assert release.wait(30)
            return threading.current_thread().name

        # Real time, so that the loop has nothing to do meanwhile.
        threading.Timer(0.2, release.set).start()
        async with asyncio.timeout(0.05):
            assert await asyncio.to_thread(work) != threading.current_thread().name
        assert now() == 0.0
        await asyncio.sleep(0.05)
        assert now() == pytest.approx(0.05)

    run_virtual(main())


def test_a_cancelled_wait_for_a_thread_lets_time_go_on() -> None:
    async def main() -> None:
        release = threading.Event()
        waiting = asyncio.ensure_future(asyncio.to_thread(release.wait, 30))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(5)
        assert now() == pytest.approx(5)
        release.set()

    run_virtual(main())


def test_each_run_has_a_clock_of_its_own() -> None:
    async def main() -> float:
        before = now()
        await asyncio.sleep(1)
        return before

    assert [run_virtual(main()), run_virtual(main())] == [0.0, 0.0]


def test_errors_and_cancellation_pass_through() -> None:
    async def fails() -> None:
        await asyncio.sleep(1)
        raise ValueError("mine")

    async def cancelled() -> None:
        task = asyncio.create_task(asyncio.sleep(100))
        asyncio.get_running_loop().call_later(1, task.cancel)
        await task

    with pytest.raises(ValueError, match="mine"):
        run_virtual(fails())
    with pytest.raises(asyncio.CancelledError):
        run_virtual(cancelled())


def test_the_loop_is_one_of_asyncios() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert isinstance(runner.get_loop(), asyncio.SelectorEventLoop)


def test_sealed_a_deadlock_is_an_error_at_once() -> None:
    async def main() -> None:
        await asyncio.sleep(60)
        assert await asyncio.to_thread(lambda: 7) == 7, "threads that the loop knows of are waited for"
        await asyncio.Event().wait()

    with (
        pytest.raises(RuntimeError, match="deadlock"),
        asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(sealed=True)) as runner,
    ):
        runner.run(main())
