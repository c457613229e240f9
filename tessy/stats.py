"""Counts what happens in a run, for the progress panel, the plain log lines and the final table."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import monotonic

from tessy.forecast import Forecast, Lengths
from tessy.journal.records import Failure, TurnUsage
from tessy.observer import Observer
from tessy.types import Span, TurnRecord

__all__ = ["Stats"]

_WINDOW = 10.0
"""Seconds over which speed is averaged."""
_FRESH = 1.0
"""Seconds for which a forecast is good: it takes a few milliseconds."""


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
        self._sizes: Counter[str] = Counter()
        self._ended_sizes = Lengths()
        self._forecast: tuple[float, float | None] = (-inf, None)
        self._recent: deque[tuple[float, str, int]] = deque()

    def begin(self, total: int, done: int, failed: int) -> None:
        """What the run directory holds at the start; the clock starts now."""
        self.total, self.done, self.failures = total, done, failed
        self.began = self._clock()

    def admitted(self, row: str) -> None:
        self.active += 1
        self._sizes[row] = 0

    def resumed(self, row: str, tokens: int) -> None:
        self._sizes[row] += tokens

    def paused(self, count: int) -> None:
        self.waiting = count

    def committed(self, row: str, span: Span) -> None:
        self.kept[span.author] += span.tokens
        self._sizes[row] += span.tokens
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
        self,
        kept: Mapping[str, int],
        turns: int,
        switches: int,
        usage: Sequence[TurnUsage],
        grown: Mapping[str, int],
    ) -> None:
        now = self._clock()
        for author, tokens in kept.items():
            self.kept[author] += tokens
            self._recent.append((now, author, tokens))
        self._sizes.update(grown)
        self.turns += turns
        self.switches += switches
        for one in usage:
            self.spent("", one)

    def left(self, row: str) -> None:
        self.active -= 1
        self._sizes.pop(row, None)

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
        """At the present pace, for the tokens that are expected still; ``None`` before a row has ended here.

        See `tessy.forecast`. The last rows that are under way together may take longer than their tokens at
        that pace: a row is not written faster because others have ended.
        """
        at, seconds = self._forecast
        if (now := self._clock()) - at >= _FRESH:
            seconds = self._foretell()
            self._forecast = now, seconds
        return seconds

    def _foretell(self) -> float | None:
        sizes = Lengths.of(self._sizes.values())
        forecast = Forecast.fit(self._ended_sizes, sizes)
        pace = sum(self.speed().values()) or sum(self.kept.values()) / max(self.elapsed, 1e-9)
        if forecast is None or not pace:
            return None
        untouched = self.total - self.done - self.failures - len(self._sizes)
        tokens = forecast.left(self._ended_sizes, sizes, max(0, untouched))
        return max(tokens, forecast.longest(sizes) * len(self._sizes)) / pace

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
        self._ended_sizes.add(self._sizes.pop(row, 0))
