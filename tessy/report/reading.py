"""One pass over a run's rows: a line of numbers each, distributions, and the texts of a few."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from tessy.rundata import Row, RunData

__all__ = ["LENGTHS", "POSITIONS", "WORD", "Read", "Text", "read"]

T = TypeVar("T")

LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377)
"""Lower bounds of the classes of span lengths, in tokens."""
POSITIONS = 20
"""Equal parts of a thinking."""
_TEXTS = 200
"""Rows whose whole text is shown, at most."""
_SIZE = 16_000_000
"""Characters of text in all, at most, over all runs of a page: the page stays below 30 MB."""
_WORDED = 300
"""Rows of a run whose words are counted and compared with others'."""
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@dataclass(frozen=True, slots=True)
class Text:
    """A row whose words are looked at: its prompt, its message, and who wrote what of it."""

    prompt: str
    content: str
    spans: tuple[tuple[str, int, int], ...]


@dataclass
class Read:
    """What a run's rows say.

    Attributes:
        run: which.
        table: a line for each row, by columns: ``id``, ``teacher``, ``student`` (tokens), ``switches``,
            ``spans``, ``finish``.
        sums: tokens and characters by author and phase.
        lengths: spans by author and class of length.
        positions: characters of the thinking by part and author.
        texts: rows shown in full, in the order of the run.
        worded: rows whose words are counted and compared with those of other runs.
    """

    run: RunData
    table: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: [] for name in ("id", "teacher", "student", "switches", "spans", "finish")
        }
    )
    sums: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    lengths: dict[str, list[int]] = field(default_factory=dict)
    positions: list[Counter[str]] = field(default_factory=lambda: [Counter() for _ in range(POSITIONS)])
    texts: list[dict[str, Any]] = field(default_factory=list)
    worded: list[Text] = field(default_factory=list)


def read(run: RunData, *, share: float = 1.0, progress: Callable[[int], None] = lambda rows: None) -> Read:
    """Read all rows of a run, one at a time.

    Which texts are kept is drawn by a hash of the id: the same in every report.

    Args:
        run: which.
        share: of the page's texts, where there are several runs.
        progress: told the number of rows read, now and then.

    Raises:
        DataError: a row does not add up.
    """
    found = Read(run)
    texts: _Sample[Row] = _Sample(
        max(1, int(_TEXTS * share)), int(_SIZE * share), lambda row: len(row.content)
    )
    worded: _Sample[Text] = _Sample(_WORDED, 1 << 62, lambda text: 0)
    for n, row in enumerate(run.rows()):
        _line(found, row)
        texts.offer(row.id, n, row)
        if worded.wants(row.id):
            worded.offer(row.id, n, _worded(row))
        _spans(found, row)
        if n % 50 == 0:
            progress(n)
    found.texts = [_text(row) for row in texts.kept()]
    found.worded = list(worded.kept())
    return found


def _line(found: Read, row: Row) -> None:
    tessy, table = row.tessy, found.table
    tokens = tessy["tokens"]
    table["id"].append(row.id)
    table["teacher"].append(tokens.get("teacher", 0))
    table["student"].append(tokens.get("student", 0))
    table["switches"].append(tessy["switches"])
    table["spans"].append(len(row.spans))
    table["finish"].append(tessy["finish"])


def _spans(found: Read, row: Row) -> None:
    """Count every span. This loop is most of what a report of a long run takes."""
    spans, sums, lengths = row.spans, found.sums, found.lengths
    for span in spans:
        author, tokens = span["author"], span["tokens"]
        key = (author, span["phase"])
        if key not in sums:
            sums[key] = [0, 0]
            lengths.setdefault(author, [0] * len(LENGTHS))
        of = sums[key]
        of[0] += tokens
        of[1] += span["end"] - span["start"]
        lengths[author][_CLASS[tokens] if tokens < _TOP else -1] += 1
    thinking = [span for span in spans if span["phase"] == "think"]
    if not thinking:
        return
    first = thinking[0]["start"]
    length = max(1, thinking[-1]["end"] - first)
    # Where each part begins; characters of a span that crosses such a place go to both sides.
    edges = [-(-(part * length) // POSITIONS) for part in range(1, POSITIONS + 1)]
    part = 0
    for span in thinking:
        start, end, author = span["start"] - first, span["end"] - first, span["author"]
        while end > edges[part]:
            if start < edges[part]:
                found.positions[part][author] += edges[part] - start
                start = edges[part]
            part += 1
        if start < end:
            found.positions[part][author] += end - start


def _text(row: Row) -> dict[str, Any]:
    tessy = row.tessy
    return {
        "id": row.id,
        "prompt": row.messages[:-1],
        "content": row.content,
        "spans": [
            [s["author"], s["phase"], s["kind"], s["start"], s["end"], s["tokens"], s.get("via")]
            for s in row.spans
        ],
        "policy": tessy["policy"],
        "finish": tessy["finish"],
    }


def _worded(row: Row) -> Text:
    prompt = "\0".join(message["content"] for message in row.messages[:-1])
    return Text(prompt, row.content, tuple((s["author"], s["start"], s["end"]) for s in row.spans))


class _Sample(Generic[T]):
    """At most so many of those offered, drawn by a hash of their keys, the smallest first."""

    def __init__(self, most: int, size: int, measure: Callable[[T], int]) -> None:
        self._most = most
        self._size = size
        self._measure = measure
        self._held = 0
        self._heap: list[tuple[int, int, T]] = []
        self._bar = -(1 << 64)

    def wants(self, key: str) -> bool:
        """Whether it would be kept for now."""
        rank = _rank(key)
        return rank > self._bar and (len(self._heap) < self._most or rank > self._heap[0][0])

    def offer(self, key: str, n: int, value: T) -> None:
        """Keep it, if it is among the first by now."""
        if not self.wants(key):
            return
        rank = _rank(key)
        heapq.heappush(self._heap, (rank, -n, value))
        self._held += self._measure(value)
        while len(self._heap) > self._most or (self._held > self._size and len(self._heap) > 1):
            # A later small one must not take a place that this one was too large for: which come first
            # would depend on their order.
            self._bar, _, dropped = heapq.heappop(self._heap)
            self._held -= self._measure(dropped)

    def kept(self) -> Iterator[T]:
        """Those that are left, in the order in which they were offered."""
        yield from (value for _, _, value in sorted(self._heap, key=lambda entry: -entry[1]))


def _rank(key: str) -> int:
    return -int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


_TOP = LENGTHS[-1]
_CLASS = [0] * (_TOP + 1)
for _n in range(_TOP + 1):
    _CLASS[_n] = max((i for i, low in enumerate(LENGTHS) if low <= _n), default=0)
