"""What the simulated server has done, by its own count: a record a request, with the time of every token."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import orjson

from tessy.testing.simulated.traces import Phase

__all__ = ["Account", "Log", "Record", "account"]


@dataclass(slots=True)
class Record:
    """One request. Times are seconds of the model, on the clock that the servers of one process share.

    Attributes:
        model: who wrote.
        trace: which trace; equal at all servers for equal conversations.
        phase, position: where in the trace it began (see `Place`).
        prompt, cached: tokens of its prompt, and how many of them were in the prefix cache.
        arrived, admitted, ended: when it came, when it left the queue, when it was over.
        first, prefill: from its admission to its first token: what it took in any case, and for its prompt.
        times: when each token was written, since ``arrived``.
        text, marks: how many of its tokens were text of the phase in which it began, and how many were
            marks or the end of the turn; the rest is an answer after a thinking.
        finish: ``stop``, ``length``, or ``aborted``: the client went away.
    """

    model: str
    trace: int
    phase: Phase
    position: int
    prompt: int
    cached: int = 0
    arrived: float = 0.0
    admitted: float = 0.0
    ended: float = 0.0
    first: float = 0.0
    prefill: float = 0.0
    times: array[float] = field(default_factory=lambda: array("f"))
    text: int = 0
    marks: int = 0
    finish: str = "aborted"

    @property
    def tokens(self) -> int:
        """Tokens that it wrote."""
        return len(self.times)

    def line(self) -> bytes:
        """The same as a line of JSON."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        fields["trace"] = f"{self.trace:016x}"
        fields["times"] = [round(time, 4) for time in self.times]
        for name in ("arrived", "admitted", "ended", "first", "prefill"):
            fields[name] = round(fields[name], 6)
        return orjson.dumps(fields) + b"\n"

    @classmethod
    def read(cls, line: bytes | str) -> Record:
        """The record in such a line."""
        fields = orjson.loads(line)
        fields["trace"] = int(fields["trace"], 16)
        fields["times"] = array("f", fields["times"])
        return cls(**fields)


class Log:
    """All records of a server.

    Args:
        file: where to write each, as it ends, besides.
    """

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self.records: list[Record] = []
        self._file = file

    def add(self, record: Record) -> None:
        """A request is over."""
        self.records.append(record)
        if self._file is not None:
            self._file.write(record.line())
            self._file.flush()

    def clear(self) -> None:
        """Forget them, for the next measurement."""
        self.records = []

    def lines(self) -> Iterator[bytes]:
        """All as lines of JSON."""
        return (record.line() for record in self.records)

    def figures(self) -> Mapping[str, Any]:
        """Sums over all requests."""
        records = self.records
        return {
            "requests": len(records),
            "aborted": sum(record.finish == "aborted" for record in records),
            "prompt": sum(record.prompt for record in records),
            "cached": sum(record.cached for record in records),
            "generated": sum(record.tokens for record in records),
            "queued_seconds": sum(record.admitted - record.arrived for record in records),
        }


@dataclass(slots=True)
class Account:
    """What became of one trace, over all servers that wrote it.

    Attributes:
        requests: how many wrote it.
        kept: tokens of text that it was made of; ``marks``: of marks and of the end of the turn.
        discarded: tokens that were written for it and dropped.
        first, prefill: seconds that its requests took to their first tokens: the chain that nothing shortens.
    """

    requests: int = 0
    kept: int = 0
    marks: int = 0
    discarded: int = 0
    first: float = 0.0
    prefill: float = 0.0

    @property
    def generated(self) -> int:
        """All tokens that were written for it."""
        return self.kept + self.marks + self.discarded


def account(records: Iterable[Record]) -> dict[int, Account]:
    """Who wrote how much of each trace, and how much of it was kept, from the servers' records alone.

    A request's tokens were kept up to where the first of all later ones of its trace begins: the very next
    may have gone on with what was cut off afterwards. The last of all is taken to be kept, as it is where its
    trace was finished.
    """
    traces: defaultdict[int, list[Record]] = defaultdict(list)
    for record in records:
        traces[record.trace].append(record)
    return {trace: _account(sorted(found, key=lambda one: one.arrived)) for trace, found in traces.items()}


def _account(records: Sequence[Record]) -> Account:
    total = Account(requests=len(records))
    begins: dict[bool, int] = {}  # whether it is an answer: where the first of the later ones begins
    following: Record | None = None
    for record in reversed(records):
        kept, marks = _kept(record, following, begins)
        total.kept += kept
        total.marks += marks
        total.discarded += record.tokens - kept - marks
        total.first += record.first
        total.prefill += record.prefill
        answers = record.phase == "answer"
        begins[answers] = min(record.position, begins.get(answers, record.position))
        following = record
    return total


def _kept(record: Record, following: Record | None, begins: Mapping[bool, int]) -> tuple[int, int]:
    """Tokens of text and of marks that became part of the trace."""
    if following is None:
        return record.tokens - record.marks, record.marks
    answers = record.phase == "answer"
    if answers == (following.phase == "answer"):
        kept = min(record.text, max(0, begins[answers] - record.position))
        return kept, record.marks if kept == record.text and record.finish == "stop" else 0
    return (0, 0) if answers else (record.text, min(record.marks, 2))
