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

    A trace is a chain: each of its requests begins within what the one before it wrote, and that one's tokens
    were kept up to there. It is read from its end, so what was asked for a place from which the trace did not
    go on, or in an attempt that failed, is discarded whole. The end is taken to be kept.
    """
    traces: defaultdict[int, list[Record]] = defaultdict(list)
    for record in records:
        traces[record.trace].append(record)
    return {trace: _account(sorted(found, key=lambda one: one.arrived)) for trace, found in traces.items()}


def _account(records: Sequence[Record]) -> Account:
    total = Account(requests=len(records), discarded=sum(record.tokens for record in records))
    thinking, answer = _phases(records)
    for record, kept in [*_chain(answer), *_chain(thinking)]:
        if record is (answer or thinking)[-1]:  # with the answer that may follow a thinking in its stream
            kept, marks = record.tokens - record.marks, record.marks
        elif thinking and record is thinking[-1]:
            marks = min(record.marks, 2)
        else:
            marks = record.marks if kept == record.text and record.finish == "stop" else 0
        total.kept += kept
        total.marks += marks
        total.discarded -= kept + marks
        total.first += record.first
        total.prefill += record.prefill
    return total


def _phases(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The last attempt's requests for the thinking, up to the one that ended it, and for its answer."""
    answers = [i for i, one in enumerate(records) if one.phase == "answer"]
    begins = answers[-1] + 1 if answers and answers[-1] + 1 < len(records) else 0
    thinking = [i for i in range(begins, len(records)) if records[i].phase != "answer"]
    # Another may have been asked ahead, in vain, while the thinking ended.
    ending = [i for i in thinking if records[i].marks > (2 if records[i].phase == "open" else 0)]
    end = (ending or thinking or [-1])[-1]
    return (
        [records[i] for i in thinking if i <= end],
        [one for one in records[end + 1 :] if one.phase == "answer"],
    )


def _chain(records: Sequence[Record]) -> Iterator[tuple[Record, int]]:
    """Those of one phase that became part of the trace, from the last one on, with how much of their text."""
    at = len(records) - 1
    if at >= 0:
        yield records[at], records[at].text
    while at >= 0:
        end = records[at].position
        at = _before(records, at, end)
        if at >= 0:
            yield records[at], min(records[at].text, end - records[at].position)


def _before(records: Sequence[Record], at: int, end: int) -> int:
    """Which of those before ``at`` wrote what stands before ``end``; negative: none did.

    A token that was cut in two may be read back as more of them, so that nobody has written quite so far.
    """
    nearest, reached = -1, 0
    for i in range(at - 1, -1, -1):
        one = records[i]
        if one.position < end:
            reach = one.position + one.text
            if reach >= end:
                return i
            if reach > reached:
                nearest, reached = i, reach
    return nearest
