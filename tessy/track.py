"""One trajectory's thinking as a style detector sees it: windows go out, labels come into the draft."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from operator import index
from typing import TYPE_CHECKING, Any

from tessy.atonce import Later
from tessy.boundary import plugin
from tessy.draft import Draft
from tessy.seam import is_space
from tessy.types import Label, Prompt, Window

if TYPE_CHECKING:
    from tessy.detection import Detection

__all__ = ["Track"]

_STRIDE = 512
"""Characters between two anchors."""
_BEFORE = 2
"""How many whole blocks a window shows left of the one it labels."""
_PIECE = 64
"""Characters of a word in pieces that a detector of words is not asked about."""
_SLACK = 64
"""How far right of its nominal place a block may begin, looking for a space."""


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

    def __init__(self, detection: Detection, key: str, prompt: Prompt | None = None) -> None:
        self.key = key
        self.prompt: Prompt | None = prompt
        self._detection = detection
        self._by_words = detection.by_words
        self._asked = False  # whether the detector was, about what came last
        self._draft: Draft | None = None
        self._base = 0  # where the draft begins, in characters of the trajectory
        self._committed = _Blocks()
        self._blocks = _Blocks()  # the same with the draft behind it

    @property
    def lookahead(self) -> int:
        """Characters that must follow a position before its label is sure."""
        return self._detection.lookahead

    @property
    def position(self) -> int:
        """Committed characters of thinking."""
        return self._committed.end

    def commit(self, text: str) -> None:
        """``text`` has entered the ledger, right after what was committed before."""
        self._committed.append(text)
        self._committed.drop(self._committed.end)

    async def extend(self, draft: Draft) -> None:
        """Label what can be labelled of a draft that has grown or finished.

        Appends to ``draft.labels`` and moves ``draft.settled``, to the draft's end once it has finished.

        Raises:
            PluginError: the detector failed for this trajectory.
        """
        if (rest := self.take(draft)) is not None:
            await rest

    def take(self, draft: Draft) -> Coroutine[Any, Any, None] | None:
        """`extend` as far as the detector answers at once; what is to be awaited for the rest, at once."""
        if draft is not self._draft:
            self._draft = draft
            self._base = self.position - draft.committed
            self._blocks = self._committed.copy()
        text = draft.since(self._blocks.end - self._base)
        self._asked = draft.finish is not None or not (not text or (self._by_words and _goes_on(text)))
        if not self._asked:
            return None
        # Piece by piece: no window is much longer than a block, however much arrives at once.
        if len(text) <= _STRIDE:
            self._blocks.append(text)
            return self._label(draft, draft.finish is not None)
        return self._pieces(draft, text)

    async def _pieces(self, draft: Draft, text: str) -> None:
        for i in range(0, len(text), _STRIDE):
            self._blocks.append(text[i : i + _STRIDE])
            rest = self._label(draft, draft.finish is not None and i + _STRIDE >= len(text))
            if rest is not None:
                await rest

    @property
    def guesses(self) -> bool:
        """Whether the detector guesses at all."""
        return self._detection.guesses

    def guess(self, draft: Draft) -> list[Label] | None:
        """What the detector would say of the draft behind its settled part, if that is anything new.

        In characters of the draft; ``None`` if nothing has come to go by since `take` was called last, or the
        detector is busy.

        Raises:
            PluginError: the detector failed.
        """
        blocks, at = self._blocks, self._base + draft.settled
        if not self._asked or at >= blocks.end:
            return None
        anchor, limit = blocks.around(at)
        text = blocks.between(anchor, blocks.end)
        window = Window(self.key, draft.turn.role, anchor, text, at - anchor, False, self.prompt)
        labels = self._detection.guess(window, draft.labels[-1].style if draft.labels else None)
        return None if labels is None else list(_clip(labels, limit - anchor, anchor - self._base))

    def close(self) -> None:
        """The trajectory is over; the detector drops what it has cached for it."""
        detection = self._detection
        with plugin(detection.origin, "forget"):
            detection.detector.forget(self.key)

    def _label(self, draft: Draft, final: bool) -> Coroutine[Any, Any, None] | None:
        """Go on from ``draft.settled``, block by block."""
        blocks, base = self._blocks, self._base
        while (at := base + draft.settled) < blocks.end:
            anchor, limit = blocks.around(at)
            # A word longer than a block would make windows longer and longer. The window ends where all is
            # seen that labels of the block may depend on: such a word is labelled by its beginning.
            end = min(blocks.end, limit + self._detection.lookahead + _STRIDE)
            text = blocks.between(anchor, end)
            last = final or end < blocks.end
            window = Window(self.key, draft.turn.role, anchor, text, at - anchor, last, self.prompt)
            found = self._detection.ask(window)
            if isinstance(found, Later):
                return self._await(found, draft, anchor, limit, final)
            if not self._add(draft, found, anchor, limit):
                break
        blocks.drop(base + draft.settled)
        return None

    async def _await(
        self, asked: Later[Sequence[Label]], draft: Draft, anchor: int, limit: int, final: bool
    ) -> None:
        """The labels that one window has to wait for, then the blocks behind it."""
        if not self._add(draft, await asked, anchor, limit):
            self._blocks.drop(self._base + draft.settled)
        elif (rest := self._label(draft, final)) is not None:
            await rest

    def _add(self, draft: Draft, labels: Sequence[Label], anchor: int, limit: int) -> bool:
        """The labels of a window, to the draft; whether its block is labelled to its end."""
        if labels:
            draft.add_labels(_clip(labels, limit - anchor, anchor - self._base))
            draft.settled = min(anchor + index(labels[-1].end), limit) - self._base
        return self._base + draft.settled >= limit


class _Blocks:
    """The tail of a trajectory's thinking, in blocks.

    Attributes:
        text: from ``starts[0]`` on.
        end: of the text, in characters of the trajectory.
        starts: where blocks begin, in characters of the trajectory.
        number: of the last of them.
    """

    __slots__ = ("end", "number", "starts", "text")

    def __init__(self) -> None:
        self.text = ""
        self.end = 0
        self.starts = [0]
        self.number = 0

    def copy(self) -> _Blocks:
        """One that grows by itself."""
        other = _Blocks()
        other.text, other.end, other.starts, other.number = self.text, self.end, self.starts[:], self.number
        return other

    def append(self, text: str) -> None:
        """The thinking goes on."""
        self.text += text
        self.end += len(text)
        while self.end > (self.number + 1) * _STRIDE and (start := self._next()) is not None:
            self.starts.append(start)
            self.number += 1

    def around(self, at: int) -> tuple[int, int]:
        """Of the block that ``at`` is in: its anchor, and where it ends as far as the text is known."""
        block = bisect_right(self.starts, at) - 1
        limit = self.starts[block + 1] if block + 1 < len(self.starts) else self.end
        return self.starts[max(0, block - _BEFORE)], limit

    def between(self, start: int, end: int) -> str:
        """A stretch of the text."""
        return self.text[start - self.starts[0] : end - self.starts[0]]

    def drop(self, before: int) -> None:
        """Forget what no window shows that labels from ``before`` on."""
        if len(self.starts) <= _BEFORE + 1:
            return
        first = bisect_right(self.starts, before) - 1 - _BEFORE
        if first > 0:
            self.text = self.text[self.starts[first] - self.starts[0] :]
            del self.starts[:first]

    def _next(self) -> int | None:
        """Where the next block begins if the text known so far says it."""
        nominal, begin = (self.number + 1) * _STRIDE, self.starts[0]
        for i in range(nominal, min(nominal + _SLACK, self.end)):
            if is_space(self.text[i - begin]):
                return i
        return nominal + _SLACK if nominal + _SLACK < self.end else None


def _goes_on(text: str) -> bool:
    """Whether a text only goes on with the word before it."""
    return len(text) <= _PIECE and text.isascii() and text.isalnum()


def _clip(labels: Iterable[Label], end: int, shift: int) -> Iterator[Label]:
    """Labels up to ``end``, without empty ones, moved by ``shift``; numpy's numbers become plain ones."""
    for label in labels:
        start, stop = index(label.start), min(index(label.end), end)
        if start < stop:
            yield Label(start + shift, stop + shift, label.style, float(label.p))
