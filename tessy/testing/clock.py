"""A mock clock: an event loop whose sleeps cost nothing, and whose order depends on the program alone.

The idea is trio's ``MockClock`` with ``autojump_threshold=0``, applied to asyncio: whenever nothing is
ready to run, time jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

__all__ = ["VirtualTimeLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Jump(selectors.SelectSelector):
    """A selector that never waits for time, only for threads and, when no timer is left, for sockets."""

    def __init__(self, sealed: bool) -> None:
        super().__init__()
        self.sealed = sealed
        self.now = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        endless = timeout is None and not self.sealed
        threads = self.threads > 0 and (timeout is None or timeout > 0)
        ready = super().select(None if endless or threads else 0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: all wait, and there is no timer left that could wake one")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time.

    `asyncio.sleep`, time-outs and ``loop.call_later`` take no real time, and ``loop.time()`` says how much
    they would have taken. Time stands still while a function runs in a thread (`asyncio.to_thread`). It does
    not wait for other processes or for the network: what needs those runs on a loop of asyncio's own.

    Args:
        sealed: no socket, and no thread that the loop does not know of, will ever wake it. Where all wait and
            no timer is left, it raises `RuntimeError` instead of waiting for ever.

    Example:
        ``with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner: runner.run(main())``
    """

    def __init__(self, *, sealed: bool = False) -> None:
        self._jump = _Jump(sealed)
        super().__init__(self._jump)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jump.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """See `asyncio.loop.run_in_executor`; time stands still until it has returned."""
        future = super().run_in_executor(executor, func, *args)
        self._jump.threads += 1
        future.add_done_callback(self._back)
        return future

    def _back(self, future: asyncio.Future[Any]) -> None:
        self._jump.threads -= 1


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a `VirtualTimeLoop` of its own, to its result.

    What `asyncio.run` is for real time. In a test, an hour's pause takes no time and ends when it should::

        def test_it_gives_up_after_an_hour():
            async def main():
                with pytest.raises(TimeoutError):
                    await ask(silent_backend)
                assert asyncio.get_running_loop().time() == pytest.approx(3600)

            run_virtual(main())
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
