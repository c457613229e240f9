"""Both schedules in virtual time, token by token, on the stated model: for traces too long to wait for.

An engine's token takes `Speed.step` of those that are being decoded when the one before it came, as in the
simulated server. What a client adds for itself is one figure, ``client``: seconds a request.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from bench.schedule.traces import Part, Trace
from tessy.testing.simulated import Speed

__all__ = ["Outcome", "Steps", "barrier", "streaming"]

_Ask = tuple[str, float, int]
"""A request: the role asked, seconds to its first token, tokens."""


@dataclass(slots=True)
class Outcome:
    """What a schedule took: the model's seconds, its requests, and tokens thrown away."""

    seconds: float = 0.0
    requests: int = 0
    discarded: int = 0
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Steps:
    """Tokens a request of the paper's schedule asks for, by role."""

    teacher: int = 10
    student: int = 5

    def of(self, role: str) -> int:
        """Those of a role."""
        return self.teacher if role == "teacher" else self.student


class _Engines:
    """Runs requests side by side; a request ends with its last token."""

    def __init__(self, speed: Speed) -> None:
        self.now = 0.0
        self._speed = speed
        self._decoding: Counter[str] = Counter()
        self._due: list[tuple[float, int, int, str, int]] = []
        self._started = 0

    def start(self, key: int, ask: _Ask) -> None:
        """Begin a request for ``key`` now."""
        role, first, tokens = ask
        self._started += 1
        # A negative count marks a first token: from there on the sequence is decoded.
        heapq.heappush(self._due, (self.now + first, self._started, key, role, -tokens))

    def next(self) -> int | None:
        """Whose request ends next; time moves there. ``None`` when nothing is under way."""
        due, decoding, step = self._due, self._decoding, self._speed.step
        while due:
            time, order, key, role, left = due[0]
            if left < 0:
                decoding[role] += 1
                left = -left
            if left == 1:
                heapq.heappop(due)
                decoding[role] -= 1
                self.now = time
                return key
            heapq.heapreplace(due, (time + step(decoding[role]), order, key, role, left - 1))
        return None


def streaming(
    traces: Sequence[Trace], speed: Speed, slots: int, *, lookahead: int, ahead: int = 0, client: float = 0.0
) -> Outcome:
    """Independent trajectories: each asks for its next part when its last is known to have ended.

    ``ahead``: so many tokens before that, where it does not end by a mark. They take ``Speed.token`` each,
    though more where an engine is crowded: this hides rather too little.
    """
    outcome, engines = Outcome(), _Engines(speed)
    waiting = iter(enumerate(traces))
    running: dict[int, Generator[_Ask]] = {}

    def begin() -> None:
        for key, trace in waiting:
            running[key] = _parts(trace, speed, lookahead, client, ahead, outcome)
            engines.start(key, next(running[key]))
            return

    for _ in range(slots):
        begin()
    while (key := engines.next()) is not None:
        ask = next(running[key], None)
        if ask is None:
            del running[key]
            begin()
        else:
            engines.start(key, ask)
    outcome.seconds = engines.now
    return outcome


def barrier(
    traces: Sequence[Trace], speed: Speed, slots: int, steps: Steps, *, client: float = 0.0
) -> Outcome:
    """The paper's rounds: all active traces take one step of so many tokens, and wait for the slowest.

    A trace that ends makes room for the next one in the following round. Its answer is a step like any other,
    so the round lasts as long as the longest answer in it.
    """
    outcome, engines = Outcome(), _Engines(speed)
    waiting = iter(traces)
    active: list[_Stepping] = []
    while True:
        while len(active) < slots and (trace := next(waiting, None)) is not None:
            active.append(_Stepping(trace))
        if not active:
            break
        for key, one in enumerate(active):
            role, first, tokens = one.ask(speed, steps, outcome)
            engines.start(key, (role, first + client, tokens))
        while engines.next() is not None:
            pass
        outcome.rounds += 1
        active = [one for one in active if one.step()]
    outcome.seconds = engines.now
    return outcome


def _parts(
    trace: Trace, speed: Speed, lookahead: int, client: float, ahead: int, outcome: Outcome
) -> Generator[_Ask]:
    closed = True
    for part in trace.parts:
        extra = 0 if part.closes else lookahead
        outcome.requests += 1
        outcome.discarded += extra
        first = part.first + part.before / speed.prefill + client
        # Of an end that shows by a mark nothing was seen before.
        yield part.role, first if closed else max(0.0, first - ahead * speed.token), part.tokens + extra
        closed = part.closes


@dataclass(slots=True)
class _Stepping:
    """One trace of the paper's schedule: where it stands."""

    trace: Trace
    index: int = 0
    left: int = field(init=False)
    asked: int = 0

    def __post_init__(self) -> None:
        self.left = self.trace.parts[0].tokens

    def ask(self, speed: Speed, steps: Steps, outcome: Outcome) -> _Ask:
        part: Part = self.trace.parts[self.index]
        # The answer is one request to its end.
        self.asked = self.left if part.last else steps.of(part.role)
        if part.closes:
            self.asked = min(self.asked, self.left)  # it stops at the mark
        fresh = self.left == part.tokens
        outcome.requests += 1
        outcome.discarded += max(0, self.asked - self.left)
        return part.role, part.first + (part.before / speed.prefill if fresh else 0.0), self.asked

    def step(self) -> bool:
        """Whether there is more to write."""
        # At its very end a step has not seen yet that the part is over: the next one finds nothing to keep.
        part = self.trace.parts[self.index]
        if self.asked > self.left or (part.closes and self.asked == self.left):
            self.index += 1
            if self.index == len(self.trace.parts):
                return False
            self.left = self.trace.parts[self.index].tokens
        else:
            self.left -= self.asked
        return True
