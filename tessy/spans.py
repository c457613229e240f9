"""Long lists of small values, held in little memory: a trace has thousands of spans and turns.

As objects, a token of a span takes ten times the bytes of its number, and a turn takes more than what was
said in it. So only the latest stand as objects, where everybody looks; the others are packed in blocks and
made again when somebody asks. Where tokens are listed the text is compressed too: whoever writes with tokens
seldom wants the whole of it. Where none are, it is all that a session has, and stays as it is to be joined.
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, overload

import orjson

from tessy.types import Label, Phase, Span, TurnRecord

__all__ = ["Packed", "Spans", "Turns"]

T = TypeVar("T")

_BLOCK = 64
"""Values that are packed together: so many are unpacked to look at one."""
_LEVEL = 6
"""Of zlib: 1 takes hardly less time and leaves 7 KiB more of a trace of 40,000 tokens; 9 saves nothing."""


class _Block(Hashable, Protocol):
    """Values that do not change any more."""

    def values(self) -> Sequence[Any]:
        """Made again."""
        ...


class Packed(Sequence[T], Generic[T]):
    """A list that only grows; equal to any list or tuple of the same values.

    The last values, and an iteration in either direction, cost what they touch. Any other place costs
    unpacking the block that it is in, and neighbours are then at hand.
    """

    _latest: ClassVar[int]
    """Values that are never packed."""

    def __init__(self, values: Iterable[T] = ()) -> None:
        self._blocks: list[_Block] = []
        self._tail: list[T] = []
        for value in values:
            self.append(value)

    def append(self, value: T) -> None:
        """One more."""
        self._tail.append(value)
        if len(self._tail) >= self._latest + _BLOCK:
            self._blocks.append(self._pack(self._tail[:_BLOCK]))
            del self._tail[:_BLOCK]

    def copy(self) -> Self:
        """Another list of the same, which shares what is packed."""
        other = self.__class__()
        other._blocks, other._tail = self._blocks[:], self._tail[:]
        return other

    def and_then(self, value: T) -> Self:
        """The same with one value more."""
        other = self.copy()
        other._tail.append(value)
        return other

    @abstractmethod
    def _pack(self, values: Sequence[T]) -> _Block:
        """A block of values."""

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._tail)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if -len(self._tail) <= at < 0:
            return self._tail[at]
        packed = len(self._blocks) * _BLOCK
        place = at if at >= 0 else len(self) + at
        if place >= packed:
            return self._tail[place - packed]
        if place < 0:
            raise IndexError(f"no place {at} in a list of {len(self)}")
        value: T = _unpacked(self._blocks[place // _BLOCK])[place % _BLOCK]
        return value

    def __iter__(self) -> Iterator[T]:
        # By place, as a list does: it may grow meanwhile.
        i = 0
        while i < len(self):
            yield self[i]
            i += 1

    def __bool__(self) -> bool:
        return bool(self._tail)  # the latest are never packed

    def __reversed__(self) -> Iterator[T]:
        # The end is what is mostly looked at, a few values of it.
        yield from reversed(self._tail[:])
        for i in range(len(self._blocks) * _BLOCK - 1, -1, -1):
            yield self[i]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Packed, list, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


class Spans(Packed[Span]):
    """The spans of a trace."""

    _latest = 16

    def joined(self, phase: Phase) -> str:
        """The plain text of one phase."""
        packed = b"".join(block.text(phase) for block in self._blocks if isinstance(block, _Spans))
        return _text(packed) + "".join(span.text for span in self._tail if span.phase == phase)

    def _pack(self, values: Sequence[Span]) -> _Block:
        return _Spans(values)


class Turns(Packed[TurnRecord]):
    """The finished turns of a trace."""

    # Limits are learnt from up to 256 turns, before each one; of these the farther ones cost unpacking.
    _latest = 64

    def _pack(self, values: Sequence[TurnRecord]) -> _Block:
        return _Turns(values)


class _Spans:
    """A block of spans: their text by phase, what else is known of them, and their tokens."""

    __slots__ = ("_about", "_packed", "_texts")

    def __init__(self, spans: Sequence[Span]) -> None:
        ids = array("I")
        about: list[tuple[Any, ...]] = []
        parts: dict[str, list[str]] = {}
        for span in spans:
            parts.setdefault(span.phase, []).append(span.text)
            ids.extend(span.ids or ())
            about.append(
                (
                    span.author,
                    span.phase,
                    len(span.text),
                    span.turn,
                    span.tokens,
                    None if span.ids is None else len(span.ids),
                    span.covered,
                    span.exact,
                    span.kind,
                    span.via,
                    tuple((i.start, i.end, i.style, i.p) for i in span.labels),
                )
            )
        self._packed = bool(ids)
        texts = {phase: _bytes("".join(some)) for phase, some in parts.items()}
        self._texts = {phase: self._shut(text) for phase, text in texts.items()}
        # Bytes of like meaning beside each other: the upper ones of all ids are much the same.
        flat = ids.tobytes()
        planes = b"".join(flat[i :: ids.itemsize] for i in range(ids.itemsize))
        columns = list(zip(*about, strict=True))
        listed = orjson.dumps(columns)
        self._about = zlib.compress(len(listed).to_bytes(4, "little") + listed + planes, _LEVEL)

    def text(self, phase: str) -> bytes:
        """That of one phase, in UTF-8."""
        text = self._texts.get(phase, b"")
        return zlib.decompress(text) if text and self._packed else text

    def _shut(self, text: bytes) -> bytes:
        return zlib.compress(text) if self._packed else text

    def values(self) -> Sequence[Span]:
        about = zlib.decompress(self._about)
        end = 4 + int.from_bytes(about[:4], "little")
        columns, planes = orjson.loads(about[4:end]), about[end:]
        ids = array("I")
        flat, count = bytearray(len(planes)), len(planes) // ids.itemsize
        for i in range(ids.itemsize):
            flat[i :: ids.itemsize] = planes[i * count : (i + 1) * count]
        ids.frombytes(flat)
        texts = {phase: _text(self.text(phase)) for phase in self._texts}
        at = dict.fromkeys(texts, 0)
        first = 0
        spans = []
        for author, phase, length, turn, tokens, listed, covered, exact, kind, via, labels in zip(
            *columns, strict=True
        ):
            text = texts[phase][at[phase] : at[phase] + length]
            at[phase] += length
            own = None if listed is None else tuple(ids[first : first + listed])
            first += listed or 0
            marks = tuple(Label(*label) for label in labels)
            spans.append(
                Span(author, phase, text, turn, tokens, own, covered, exact, kind, via, marks),
            )
        return spans


class _Turns:
    """A block of turns."""

    __slots__ = ("_packed",)

    def __init__(self, turns: Sequence[TurnRecord]) -> None:
        rows = [(t.n, t.role, t.phase, t.kept, t.drafted, t.tokens, t.finish, t.cut, t.note) for t in turns]
        self._packed = zlib.compress(orjson.dumps(list(zip(*rows, strict=True))), _LEVEL)

    def values(self) -> Sequence[TurnRecord]:
        return [TurnRecord(*row) for row in zip(*orjson.loads(zlib.decompress(self._packed)), strict=True)]


@lru_cache(maxsize=4)
def _unpacked(block: _Block) -> Sequence[Any]:
    """A block's values; the latest few blocks of the whole process are at hand."""
    return block.values()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")
