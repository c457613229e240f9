"""Counts what happens in a run, for the progress panel, the plain log lines and the final table."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from tessy.journal.records import Failure, TurnUsage
from tessy.observer import Observer
from tessy.types import Span, TurnRecord

__all__ = ["Stats"]

_WINDOW = 10.0
"""Seconds over which speed is averaged."""


class Stats(Observer):
    """Running totals of this process's share of a run.

    Attributes:
        total: rows wanted; done, failures: of them, with those of earlier processes.
        active: trajectories under way.
        kept: tokens kept, by role.
        generated, discarded, prompt, cached: tokens as the engines counted them.
        turns, switches, requests: how many.
        reasons: failures by reason.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self.began: float = clock()
        self.total: int = 0
        self.done: int = 0
        self.failures: int = 0
        self.active: int = 0
        self.waiting: int = 0
        self.kept: Counter[str] = Counter()
        self.generated: Counter[str] = Counter()
        self.discarded: Counter[str] = Counter()
        self.prompt: Counter[str] = Counter()
        self.cached: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.turns: int = 0
        self.switches: int = 0
        self.finished_here: int = 0
        self._author: dict[str, str] = {}
        self._recent: deque[tuple[float, str, int]] = deque()

    def begin(self, total: int, done: int, failed: int) -> None:
        """What the run directory holds at the start; the clock starts now."""
        self.total, self.done, self.failures = total, done, failed
        self.began = self._clock()

    def admitted(self, row: str) -> None:
        self.active += 1

    def paused(self, count: int) -> None:
        self.waiting = count

    def committed(self, row: str, span: Span) -> None:
        self.kept[span.author] += span.tokens
        before = self._author.get(row)
        self._author[row] = span.author
        self.switches += before is not None and before != span.author
        self._recent.append((self._clock(), span.author, span.tokens))

    def turn(self, row: str, record: TurnRecord) -> None:
        self.turns += 1

    def spent(self, row: str, usage: TurnUsage) -> None:
        self.generated[usage.role] += usage.engine.generated
        self.discarded[usage.role] += usage.discarded
        self.prompt[usage.role] += usage.engine.prompt
        self.cached[usage.role] += usage.engine.cached
        self.requests[usage.role] += usage.engine.requests

    def progress(
        self, kept: Mapping[str, int], turns: int, switches: int, usage: Sequence[TurnUsage]
    ) -> None:
        now = self._clock()
        for author, tokens in kept.items():
            self.kept[author] += tokens
            self._recent.append((now, author, tokens))
        self.turns += turns
        self.switches += switches
        for one in usage:
            self.spent("", one)

    def left(self, row: str) -> None:
        self.active -= 1

    def finished(self, row: str) -> None:
        self.done += 1
        self._ended(row)

    def failed(self, row: str, failure: Failure) -> None:
        self.failures += 1
        self.reasons[failure.reason] += 1
        self._ended(row)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began in this process."""
        return self._clock() - self.began

    @property
    def teacher_share(self) -> float:
        """The teacher's share of the kept tokens, 0 to 1."""
        kept = sum(self.kept.values())
        return self.kept["teacher"] / kept if kept else 0.0

    @property
    def discarded_per_thousand(self) -> float:
        """Tokens thrown away for 1,000 that were kept."""
        return self._per_thousand(self.discarded)

    @property
    def requests_per_thousand(self) -> float:
        """Requests for 1,000 tokens that were kept."""
        return self._per_thousand(self.requests)

    @property
    def discarded_share(self) -> float:
        """The share of the generated tokens that was thrown away, 0 to 1."""
        generated = sum(self.generated.values())
        return sum(self.discarded.values()) / generated if generated else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; ``None`` before the first row has ended."""
        left = self.total - self.done - self.failures
        return self.elapsed / self.finished_here * left if self.finished_here else None

    def speed(self) -> dict[str, float]:
        """Kept tokens a second by role, over the last seconds."""
        now = self._clock()
        while self._recent and self._recent[0][0] < now - _WINDOW:
            self._recent.popleft()
        span = min(_WINDOW, max(self.elapsed, 1e-9))
        sums: Counter[str] = Counter()
        for _, author, tokens in self._recent:
            sums[author] += tokens
        return {author: tokens / span for author, tokens in sums.items()}

    def _per_thousand(self, count: Counter[str]) -> float:
        kept = sum(self.kept.values())
        return 1000 * sum(count.values()) / kept if kept else 0.0

    def _ended(self, row: str) -> None:
        self.active -= 1
        self.finished_here += 1
        self._author.pop(row, None)
