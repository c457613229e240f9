"""The one way trajectories reach the style detector.

`Detection` owns a detector and feeds it micro-batches: what trajectories ask while a batch is in flight
becomes the next batch. It needs no task and no timer of its own: the first who asks while nothing is in
flight leads a batch for those who wait, and the next batch is led by one of those still waiting.

`tessy.track.Track` is one trajectory's place in it: it cuts the windows and writes labels into the draft.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from operator import index
from time import monotonic
from typing import Any, TypeAlias

from tessy.abc import StyleDetector
from tessy.atonce import Later, begin
from tessy.boundary import Origin, cancelled, plugin
from tessy.errors import PluginError
from tessy.labels import label_fault
from tessy.track import Track
from tessy.types import Label, Prompt, Window
from tessy.watchdog import Overdue, Watchdog

__all__ = ["MAX_LOOKAHEAD", "Detection"]

MAX_LOOKAHEAD = 4096
"""Characters. All that is looked ahead is generated and thrown away at every switch."""
_BATCH = 64
"""Windows in one call: more would make everybody wait for a call that may fail as a whole."""
_MORE = 0.125
"""Of the time for one window, what each further one in a call may add."""
_HUNG = 2
"""Windows in a row that stall by themselves; the detector is then taken to hang, whatever it is asked."""
_OFTEN = 30
"""Times what calls usually take; a batch that takes longer is asked again window by window."""
_LEAST = 10.0
"""Seconds that a batch may take however quick the detector usually is."""


_Begun: TypeAlias = tuple[Any] | Awaitable[Any] | BaseException
"""What has come of a call so far: its result, something to wait for, or what it raised."""


@dataclass(slots=True, eq=False)
class _Request:
    """A window that somebody waits for, and what became of it."""

    window: Window
    woken: asyncio.Future[None] | None = None
    leads: bool = False
    labels: Sequence[Label] | None = None
    error: BaseException | None = None

    @property
    def open(self) -> bool:
        return self.labels is None and self.error is None

    @property
    def abandoned(self) -> bool:
        return self.woken is not None and self.woken.cancelled()

    def answer(self, labels: Sequence[Label]) -> None:
        self.labels = labels
        self.wake()

    def fail(self, message: str, cause: BaseException | None = None) -> None:
        # One error for each: raising a shared one would mix the tracebacks of several tasks.
        self.error = PluginError(message)
        self.error.__cause__ = cause
        self.wake()

    def result(self) -> Sequence[Label]:
        if self.error is not None:
            raise self.error
        assert self.labels is not None
        return self.labels

    def wake(self) -> None:
        if self.woken is not None and not self.woken.done():
            self.woken.set_result(None)


class Detection:
    """Labels windows of many trajectories with one detector, one batch at a time.

    A detector that raises, stalls or breaks its contract costs only the trajectories it did so for:
    they get a `PluginError`, everybody else goes on.

    Args:
        detector: the plugin.
        origin: who it is, for messages.
        timeout: seconds that a call with one window may take. Several together may take as long as the
            detector's pace so far lets expect, and no more than an eighth of it for each further window.

    Attributes:
        lookahead: the detector's; final once `start` or `started` has returned.
        watchdog: keeps the detector from holding up the event loop; one that is not started bounds nothing.

    Raises:
        PluginError: the detector declares an impossible lookahead.
    """

    def __init__(
        self, detector: StyleDetector, origin: Origin, *, timeout: float = 60.0, blocking: float = 10.0
    ) -> None:
        self.detector = detector
        self.origin = origin
        self.timeout = timeout
        self.watchdog: Watchdog = Watchdog()
        self.lookahead: int = _lookahead(detector, origin)
        self.by_words: bool = bool(detector.by_words)
        self.guesses: bool = type(detector).guess is not StyleDetector.guess
        self._waiting: list[_Request] = []
        self._busy = False
        self._hangs = False
        self._usual: float | None = None

    async def start(self) -> None:
        """Start the detector.

        Raises:
            TessyError: as the detector raises it; anything else it raises becomes a `PluginError`, and
                so does an impossible lookahead.
        """
        with plugin(self.origin, "start"):
            await self.detector.start()
        self.started()

    def started(self) -> None:
        """The detector was started, here or by another run that shares it.

        Raises:
            PluginError: it declares an impossible lookahead.
        """
        self.lookahead = _lookahead(self.detector, self.origin)

    async def close(self) -> None:
        """Close the detector; call it when no trajectory is left."""
        with plugin(self.origin, "close"):
            await self.detector.close()

    def track(self, key: str, prompt: Prompt | None = None) -> Track:
        """A new trajectory that answers ``prompt``; ``key`` is unique among those under way."""
        return Track(self, key, prompt)

    def ask(self, window: Window) -> Sequence[Label] | Later[Sequence[Label]]:
        """The detector's labels of one window, checked: they tile it from ``new_from`` on.

        They are there at once where the detector is free and does not wait for anything; else they are to
        be awaited, immediately. Cancelling who waits takes back its own window and no one else's.

        Raises:
            PluginError: the detector failed on this window, took too long, or broke its contract.
        """
        if self._busy:
            return Later(self._queued(_Request(window)))
        begun: _Begun
        began = monotonic()
        try:
            begun = self.watchdog.call(self._begin, [window])
        except BaseException as error:  # looked at where all that the detector raises is
            begun = error
        if type(begun) is tuple and type(results := begun[0]) is list and len(results) == 1:
            self._took(1, monotonic() - began)
            self._hangs = False
            labels: Sequence[Label] = results[0]
            if (wrong := self._wrong(window, labels)) is not None:
                raise PluginError(wrong)
            return labels
        request = _Request(window, leads=True)
        self._busy = True
        self._waiting.append(request)
        return Later(self._leading(request, begun))

    def guess(self, window: Window, style: bool | None) -> Sequence[Label] | None:
        """What the detector would say at once of text that is not due; checked, but for how far it reaches.

        Nothing where it only says that it goes on as before, which is ``style``: that is most often, and
        then checked no further. ``None`` while the detector is busy with others' windows.

        Raises:
            PluginError: the detector failed, or broke its contract.
        """
        if self._busy:
            return None
        with plugin(self.origin, "guess"):
            labels = self.watchdog.call(self.detector.guess, window)
            for label in labels:
                if label.style is not style:
                    break
            else:
                return ()
            wrong = label_fault(labels, window, len(window.text))
        if wrong is not None:
            raise PluginError(f"{self.origin} broke its contract in guess: {wrong}")
        return labels

    async def label(self, window: Window) -> Sequence[Label]:
        """`ask`, for who waits anyway."""
        found = self.ask(window)
        return await found if isinstance(found, Later) else found

    def _begin(self, windows: list[Window]) -> tuple[Any] | Awaitable[Any]:
        return begin(self.detector.label(windows))

    async def _leading(self, request: _Request, begun: _Begun) -> Sequence[Label]:
        """Of a call that is under way."""
        await self._lead(request, begun)
        return request.result()

    async def _queued(self, request: _Request) -> Sequence[Label]:
        self._waiting.append(request)
        await self._wait(request)
        if request.open:
            await self._lead(request)
        return request.result()

    async def _wait(self, request: _Request) -> None:
        """Return when the request is answered or has to lead the next batch."""
        request.woken = asyncio.get_running_loop().create_future()
        try:
            await request.woken
        except asyncio.CancelledError:
            if request in self._waiting:
                self._waiting.remove(request)
            if request.leads:  # woken to lead and cancelled before it could
                self._pass_on()
            raise

    async def _lead(self, leader: _Request, begun: _Begun | None = None) -> None:
        """Serve the first of those who wait, then let the first of the others lead the next batch.

        ``begun``: the detector has been called for the leader alone, and this has come of it so far.
        """
        waiting = [request for request in self._waiting if not request.abandoned]
        batch, self._waiting = waiting[:_BATCH], waiting[_BATCH:]
        try:
            await self._serve(batch, begun)
        finally:
            # Only a cancelled leader leaves any open: the others' windows go into the next batch.
            leader.leads = False
            self._waiting[:0] = [r for r in batch if r.open and not r.abandoned and r is not leader]
            self._pass_on()

    def _pass_on(self) -> None:
        for request in self._waiting:
            if not request.abandoned:
                request.leads = True
                request.wake()
                return
        self._busy = False

    async def _serve(self, batch: list[_Request], begun: _Begun | None = None) -> bool:
        """Answer or fail all of a batch; whether the detector returned in time."""
        limit = self._limit(len(batch))
        try:
            results = await self._call([request.window for request in batch], limit, begun)
        except TimeoutError as error:
            if self._hangs:
                for request in batch:
                    request.fail(f"{self.origin} does not answer any more")
            elif len(batch) == 1:
                why = f": {error}" if isinstance(error, Overdue) else f" within {limit:g} s"
                batch[0].fail(f"{self.origin} did not answer{why}")
            else:
                await self._serve_each(batch)
            return False
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(f"{self.origin} failed in label: {_said(error)}", error)
            else:
                await self._serve_each(batch)
            return True
        self._hangs = False
        for request, labels in zip(batch, results, strict=True):
            self._judge(request, labels)
        return True

    def _judge(self, request: _Request, labels: Sequence[Label]) -> None:
        if (wrong := self._wrong(request.window, labels)) is None:
            request.answer(labels)
        else:
            request.fail(wrong)

    def _wrong(self, window: Window, labels: Sequence[Label]) -> str | None:
        """What is to be said of labels that break the contract."""
        try:
            wrong = label_fault(labels, window, self.lookahead)
        except TypeError as error:  # this window's alone
            wrong = f"labels of other types than Label has: {error}"
        return wrong and f"{self.origin} broke its contract: {wrong}"

    async def _serve_each(self, batch: list[_Request]) -> None:
        """Find out whose window it is that the detector cannot take."""
        stalled = 0
        for request in batch:
            if request.abandoned:
                continue
            if stalled == _HUNG:
                self._hangs = True
                request.fail(f"{self.origin} does not answer any more")
            else:
                stalled = 0 if await self._serve([request]) else stalled + 1

    def _limit(self, windows: int) -> float:
        """Seconds that a call with so many windows may take; meanwhile everybody waits."""
        if self._hangs:
            return min(_LEAST, self.timeout)
        if windows == 1 or self._usual is None:
            return self.timeout
        expected = max(_LEAST, _OFTEN * self._usual * windows)
        return min(expected, self.timeout * (1 + _MORE * (windows - 1)))

    def _took(self, windows: int, seconds: float) -> None:
        """Learn the pace from a call that was answered: up at once, down slowly."""
        one = seconds / windows
        self._usual = one if self._usual is None else max(one, 0.9 * self._usual + 0.1 * one)

    async def _call(
        self, windows: list[Window], seconds: float, begun: _Begun | None = None
    ) -> Sequence[Sequence[Label]]:
        limit: asyncio.Timeout | None = None
        began = monotonic()
        try:
            if begun is None:
                begun = self.watchdog.call(self._begin, windows)
            if isinstance(begun, BaseException):
                raise begun
            if isinstance(begun, tuple):
                results: Sequence[Sequence[Label]] = begun[0]
            else:
                async with asyncio.timeout(seconds) as limit:
                    results = await self.watchdog.steps(begun)
        except Overdue:
            raise
        except TimeoutError as error:
            if limit is not None and limit.expired():
                raise
            raise RuntimeError(_said(error)) from error  # a timeout of the detector's own
        except asyncio.CancelledError as error:
            if cancelled():
                raise
            raise RuntimeError("it cancelled itself") from error
        if len(results) != len(windows):
            raise ValueError(f"label returned {len(results)} sequences for {len(windows)} windows")
        self._took(len(windows), monotonic() - began)
        return results


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _lookahead(detector: StyleDetector, origin: Origin) -> int:
    with plugin(origin, "lookahead"):
        declared: object = detector.lookahead
    try:
        found = -1 if isinstance(declared, bool) else index(declared)  # type: ignore[arg-type]
    except TypeError:
        found = -1
    if not 0 <= found <= MAX_LOOKAHEAD:
        raise PluginError(
            f"{origin} declares a lookahead of {declared!r:.40}; it must be a whole number of characters "
            f"from 0 to {MAX_LOOKAHEAD}"
        )
    return found
