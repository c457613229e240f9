"""Bounds how long a policy's code may take, so that a stuck one costs its own trajectory and no other.

Asynchronous code is bounded by `Allowance`, whose clock stands still while a model is being asked.
Synchronous code holds up the whole event loop while it runs, and nothing on the loop can stop it: a
`Watchdog`, a thread, raises an exception inside it. It reaches code that runs Python; a call that blocks in
C is caught when it returns.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from types import TracebackType

__all__ = ["Allowance", "Watchdog"]


class _Overdue(BaseException):
    """Raised by the watchdog inside the code that takes too long."""


class Watchdog:
    """A context manager around synchronous calls on one thread; entered again and again, never nested.

    Args:
        seconds: how long a call may take.

    Raises:
        TimeoutError: on leaving, if the call was stopped.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._deadline: float | None = None
        self._fired = False
        self._lock = threading.Lock()
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

    def __enter__(self) -> None:
        self._deadline = monotonic() + self._seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave():
            raise TimeoutError(f"it took more than {self._seconds:g} s and was stopped") from None

    def _leave(self) -> bool:
        """Disarm; whether the call was stopped. What the thread has raised arrives here at the latest."""
        fired = False
        while True:
            try:
                with self._lock:
                    self._deadline = None
                    fired |= self._fired
                    self._fired = False
                if fired:
                    for _ in range(1000):  # the interpreter delivers it at the end of some iteration
                        pass
                return fired
            except _Overdue:
                fired = True

    def _run(self) -> None:
        while not self._stop.wait(min(1.0, self._seconds / 4)):
            with self._lock:
                if self._deadline is not None and monotonic() > self._deadline:
                    self._deadline = None
                    self._fired = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(self._watched), ctypes.py_object(_Overdue)
                    )


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
