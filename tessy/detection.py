"""The one way trajectories reach the style detector.

`Detection` owns a detector and feeds it micro-batches: what trajectories ask while a batch is in flight
becomes the next batch. It needs no task and no timer of its own: the first who asks while nothing is in
flight leads a batch for all who wait, and the next batch is led by one of those who came meanwhile.

`Track` is one trajectory's place in it: it cuts the windows and writes labels into the draft.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import index

from tessy.abc import StyleDetector
from tessy.boundary import Origin, cancelled, plugin
from tessy.draft import Draft
from tessy.errors import PluginError
from tessy.types import Label, Window

__all__ = ["Detection", "Track", "label_fault", "labels_due"]

_STRIDE = 512
"""Characters between two anchors."""
_BEFORE = 2
"""How many whole blocks a window shows left of the one it labels."""
_SLACK = 64
"""How far right of its nominal place a block may begin, looking for a space."""


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
        timeout: seconds one call of the detector may take.
    """

    def __init__(self, detector: StyleDetector, origin: Origin, *, timeout: float = 60.0) -> None:
        self.detector = detector
        self.origin = origin
        self.timeout = timeout
        self._waiting: list[_Request] = []
        self._busy = False

    async def start(self) -> None:
        """Start the detector.

        Raises:
            TessyError: as the detector raises it; anything else it raises becomes a `PluginError`.
        """
        with plugin(self.origin, "start"):
            await self.detector.start()

    async def close(self) -> None:
        """Close the detector; call it when no trajectory is left."""
        with plugin(self.origin, "close"):
            await self.detector.close()

    def track(self, key: str) -> Track:
        """A new trajectory; ``key`` is unique among those under way."""
        return Track(self, key)

    async def label(self, window: Window) -> Sequence[Label]:
        """The detector's labels of one window, checked: they tile it from ``new_from`` on.

        Cancelling a caller takes back its own window and no one else's.

        Raises:
            PluginError: the detector failed on this window, took too long, or broke its contract.
        """
        request = _Request(window)
        self._waiting.append(request)
        if self._busy:
            await self._wait(request)
        else:
            self._busy = request.leads = True
        if request.open:
            await self._lead(request)
        if request.error is not None:
            raise request.error
        assert request.labels is not None
        return request.labels

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

    async def _lead(self, leader: _Request) -> None:
        """Serve all who wait, then let one of those who came meanwhile lead the next batch."""
        batch = [request for request in self._waiting if not request.abandoned]
        self._waiting = []
        try:
            await self._serve(batch)
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

    async def _serve(self, batch: list[_Request]) -> None:
        try:
            results = await self._call([request.window for request in batch])
        except TimeoutError:
            for request in batch:
                request.fail(f"{self.origin} did not answer within {self.timeout:g} s")
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(f"{self.origin} failed in label: {_said(error)}", error)
                return
            for request in batch:  # find out whose window it is that it cannot take
                if not request.abandoned:
                    await self._serve([request])
        else:
            for request, labels in zip(batch, results, strict=True):
                try:
                    wrong = label_fault(labels, request.window, self.detector.lookahead)
                except TypeError as error:  # this window's alone
                    wrong = f"labels of other types than Label has: {error}"
                if wrong is None:
                    request.answer(labels)
                else:
                    request.fail(f"{self.origin} broke its contract: {wrong}")

    async def _call(self, windows: list[Window]) -> Sequence[Sequence[Label]]:
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                results = await self.detector.label(windows)
        except TimeoutError as error:
            if limit.expired():
                raise
            raise RuntimeError(_said(error)) from error  # a timeout of the detector's own
        except asyncio.CancelledError as error:
            if cancelled():
                raise
            raise RuntimeError("it cancelled itself") from error
        if len(results) != len(windows):
            raise ValueError(f"label returned {len(results)} sequences for {len(windows)} windows")
        return results


class Track:
    """One trajectory's thinking as the detector sees it, and the labels of its drafts.

    The thinking falls into blocks of 512 characters (each begins at the first space after its nominal
    place, so that no word is split). Labels of a block are always asked for with the same anchor, the
    beginning of the second block before it: they depend on the text, never on how it arrived. Only the
    text since that anchor is kept.

    Use it so, for every draft of the thinking::

        draft = Draft(turn, begun)
        async for chunk in stream:
            draft.extend(chunk)
            await track.extend(draft)
            cut = policy.watch(draft)
            ...
        track.commit(kept)

    Every character of thinking that enters the ledger is committed once, whoever wrote it and whether
    it was labelled or not; at a checkpoint inside a draft `commit` goes with ``draft.committed``. What
    of a draft is never committed is forgotten when the next draft begins.
    """

    def __init__(self, detection: Detection, key: str) -> None:
        self.key = key
        self.position: int = 0
        """Committed characters of thinking."""
        self._detection = detection
        self._draft: Draft | None = None
        self._base = 0  # where the draft begins, in characters of the trajectory
        self._text = ""  # the thinking from `_start` on, with the draft at its end
        self._start = 0
        self._blocks = [0]  # where blocks begin, of those that `_text` holds; the first is `_start`
        self._number = 0  # of the last of them

    def commit(self, text: str) -> None:
        """``text`` has entered the ledger, right after what was committed before."""
        at = self.position - self._start
        if not self._text.startswith(text, at):
            self._rewind()
            self._append(text)
        self.position += len(text)
        self._trim()

    async def extend(self, draft: Draft) -> None:
        """Label what can be labelled of a draft that has grown or finished.

        Appends to ``draft.labels`` and moves ``draft.settled``, to the draft's end once it has finished.

        Raises:
            PluginError: the detector failed for this trajectory.
        """
        if draft is not self._draft:
            self._rewind()
            self._draft = draft
            self._base = self.position - draft.committed
        text = draft.text[self._end - self._base :]
        if not text and draft.finish is None:
            return
        # Piece by piece: no window is much longer than a block, however much arrives at once.
        for i in range(0, max(1, len(text)), _STRIDE):
            self._append(text[i : i + _STRIDE])
            await self._label(draft, final=draft.finish is not None and i + _STRIDE >= len(text))

    def close(self) -> None:
        """The trajectory is over; the detector drops what it has cached for it."""
        detection = self._detection
        with plugin(detection.origin, "forget"):
            detection.detector.forget(self.key)

    async def _label(self, draft: Draft, *, final: bool) -> None:
        """Go on from ``draft.settled``, block by block."""
        end = self._end
        while (at := self._base + draft.settled) < end:
            block = bisect_right(self._blocks, at) - 1
            limit = self._blocks[block + 1] if block + 1 < len(self._blocks) else end
            anchor = self._blocks[max(0, block - _BEFORE)]
            text = self._text[anchor - self._start :]
            window = Window(self.key, draft.role, anchor, text, at - anchor, final)
            labels = await self._detection.label(window)
            draft.add_labels(_clip(labels, limit - anchor, anchor - self._base))
            if labels:
                draft.settled = min(anchor + index(labels[-1].end), limit) - self._base
            if self._base + draft.settled < limit:
                return

    @property
    def _end(self) -> int:
        return self._start + len(self._text)

    def _append(self, text: str) -> None:
        self._text += text
        while (begin := self._next_block()) is not None:
            self._blocks.append(begin)
            self._number += 1

    def _next_block(self) -> int | None:
        """Where the next block begins if the text known so far says it."""
        nominal = (self._number + 1) * _STRIDE
        for i in range(nominal, min(nominal + _SLACK, self._end)):
            if self._text[i - self._start].isspace():
                return i
        return nominal + _SLACK if nominal + _SLACK < self._end else None

    def _rewind(self) -> None:
        """Drop what was drafted but not committed."""
        self._draft = None
        self._text = self._text[: self.position - self._start]
        while len(self._blocks) > 1 and self._blocks[-1] >= self.position:
            self._blocks.pop()
            self._number -= 1

    def _trim(self) -> None:
        """Drop what no window will show again."""
        first = bisect_right(self._blocks, self.position) - 1 - _BEFORE
        if first > 0:
            self._text = self._text[self._blocks[first] - self._start :]
            self._start = self._blocks[first]
            del self._blocks[:first]


def _clip(labels: Iterable[Label], end: int, shift: int) -> Iterator[Label]:
    """Labels up to ``end``, without empty ones, moved by ``shift``; numpy's numbers become plain ones."""
    for label in labels:
        start, stop = index(label.start), min(index(label.end), end)
        if start < stop:
            yield Label(start + shift, stop + shift, label.style, float(label.p))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def label_fault(labels: Sequence[Label], window: Window, lookahead: int) -> str | None:
    """What is wrong with a detector's labels of a window; ``None`` if they keep the contract."""
    if not isinstance(labels, Sequence) or not all(isinstance(label, Label) for label in labels):
        return f"the labels of a window are {labels!r:.80}, not a sequence of Label"
    at, length = window.new_from, len(window.text)
    for label in labels:
        if index(label.start) != at or index(label.end) < at:
            return f"{label} does not begin where the one before ended, at {at}"
        if not isinstance(label.style, bool) or not 0 <= label.p <= 1:
            return f"{label}: style is no bool, or p no probability"
        at = label.end
    if at > length:
        return f"labels reach {at}, the text ends at {length}"
    due = length if window.final else labels_due(window, lookahead)
    return f"labels reach {at}, they are due up to {due} of {length}" if at < due else None


def labels_due(window: Window, lookahead: int) -> int:
    """How far labels must reach at least: the end of the last whole word left of the lookahead."""
    text, start = window.text, window.new_from
    head = text[start : max(start, len(text) - lookahead)]
    if head and not head[-1].isspace():
        head = head[: len(head) - len(head.rsplit(None, 1)[-1])]
    return start + len(head.rstrip())
