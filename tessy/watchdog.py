"""Bounds how long a policy's code may take, so that a stuck one costs its own trajectory and no other.

Asynchronous code is bounded by `Allowance`, whose clock stands still while a model is being asked.
Synchronous code, and what asynchronous code does between two waits, holds up the whole event loop while it
runs, and nothing on the loop can stop it: a `Watchdog`, a thread, raises an exception inside it. It reaches
code that runs Python; a call that blocks in C is caught when it returns.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic, sleep
from typing import Any, ParamSpec, TypeVar

__all__ = ["Allowance", "Overdue", "Watchdog"]

P = ParamSpec("P")
T = TypeVar("T")


class Overdue(TimeoutError):
    """Synchronous code took too long and was stopped."""


class _Overdue(BaseException):
    """Raised by the watchdog inside the code that takes too long."""


class _Steps(Awaitable[T]):
    """Something awaitable whose every step is a call of its own."""

    __slots__ = ("_call", "_work")

    def __init__(self, call: Callable[..., Any], work: Awaitable[T]) -> None:
        self._call = call
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        work: Any = self._work.__await__()
        step, value = work.send if hasattr(work, "send") else lambda _: next(work), None
        while True:
            try:
                what = self._call(step, value)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                value = yield what
            except BaseException as error:
                if not hasattr(work, "throw"):
                    raise
                step, value = work.throw, error
            else:
                step = work.send if hasattr(work, "send") else lambda _: next(work)


class Watchdog:
    """Bounds synchronous calls on one thread, one at a time. Until it is started it bounds nothing.

    Args:
        seconds: how long a call may take.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        # The deadline of the call under way. Who takes it out, the call at its end or the watchdog to strike,
        # has won; every call has a list of its own, so that nobody strikes the next one.
        self._armed: list[float] = []
        self._struck: list[float] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched = 0

    def start(self) -> None:
        """Watch the calling thread from now on."""
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="tessy-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function``.

        Raises:
            Overdue: it took too long and was stopped.
        """
        armed = [monotonic() + self._seconds]
        # The strike may land anywhere from here to the end of `_disarm`, but not behind: hence a call and no
        # context manager, into whose `__exit__` it could fall where nothing catches it.
        try:
            self._armed = armed
            try:
                return function(*args, **kwargs)
            finally:
                self._disarm(armed)
        except _Overdue:
            raise Overdue(f"it took more than {self._seconds:g} s and was stopped") from None

    async def steps(self, work: Awaitable[T]) -> T:
        """Await ``work``; what it does between two waits is bounded as a `call` is.

        Raises:
            Overdue: it did not wait for anything for too long and was stopped.
        """
        return await _Steps(self.call, work)

    def _disarm(self, armed: list[float]) -> None:
        try:
            armed.pop()
        except IndexError:
            while self._struck is not armed:
                sleep(0)
            for _ in range(1000):  # the interpreter delivers it at the end of some iteration
                pass
            raise _Overdue from None  # the function has swallowed it

    def _run(self) -> None:
        while not self._stop.wait(min(1.0, self._seconds / 4)):
            armed = self._armed
            try:
                if monotonic() <= armed[0]:
                    continue
                armed.pop()
            except IndexError:  # it has just ended
                continue
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._watched), ctypes.py_object(_Overdue)
            )
            self._struck = armed


class Allowance:
    """The time that a policy's asynchronous call may take, apart from waiting for models.

    Args:
        seconds: how long.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds
        self._left = seconds
        self._since = 0.0
        self._asking = 0
        self._timeout: asyncio.Timeout | None = None

    @asynccontextmanager
    async def spend(self) -> AsyncIterator[None]:
        """Run the call.

        Raises:
            TimeoutError: it took too long.
        """
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        self._timeout = asyncio.timeout_at(self._since + self._left)
        try:
            async with self._timeout:
                yield
        except TimeoutError:
            if not self._timeout.expired():
                raise
            raise TimeoutError(f"it took more than {self._seconds:g} s, not counting the models") from None
        finally:
            self._timeout = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While a model is asked, the clock stands still."""
        loop = asyncio.get_running_loop()
        if self._asking == 0 and self._timeout is not None and not self._timeout.expired():
            self._left -= loop.time() - self._since
            self._timeout.reschedule(None)
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            if self._asking == 0 and self._timeout is not None and not self._timeout.expired():
                self._since = loop.time()
                self._timeout.reschedule(self._since + max(0.0, self._left))
