"""The time left, as a run's own counts tell it."""

from __future__ import annotations

import pytest

from tessy.journal import Failure
from tessy.observer import Observer
from tessy.stats import Stats
from tessy.types import Span
from tessy.workers.tally import Tally, read_usage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stats(clock: Clock) -> Stats:
    return Stats(clock)


def write(observer: Observer, row: str, tokens: int) -> None:
    observer.committed(row, Span("student", "think", "x", 0, tokens))


def test_rows_under_way_count_by_what_they_have(stats: Stats, clock: Clock) -> None:
    """240 at once: those that have ended are 5 % of the rows, but not of the work."""
    stats.begin(240, 0, 0)
    for n in range(240):
        stats.admitted(str(n))
        write(stats, str(n), 70 + n % 3)
    clock.now = 5.0
    assert stats.seconds_left is None
    for n in range(12):
        stats.finished(str(n))
    clock.now = 6.0
    left = stats.seconds_left
    assert left is not None
    assert 0.5 < left < 12  # by rows that have ended: 114


def test_tokens_of_an_earlier_process_count_for_length_but_not_for_speed(clock: Clock) -> None:
    left = []
    for before in (0, 900):
        stats = Stats(clock)
        clock.now = 0.0
        stats.begin(3, 0, 0)
        for row in "ab":
            stats.admitted(row)
            if before:
                stats.resumed(row, before)
            write(stats, row, 100)
        stats.finished("a")
        clock.now = 10.0
        left.append(stats.seconds_left)
    fresh, resumed = left
    assert fresh is not None
    assert resumed is not None
    assert 5 < fresh < 20
    assert resumed > 5 * fresh


def test_rows_that_nothing_was_written_of_are_borne(stats: Stats, clock: Clock) -> None:
    stats.begin(4, 0, 0)
    for row in "ab":
        stats.admitted(row)
        stats.failed(row, Failure("backend_rejected", "no"))
    clock.now = 2.0
    assert stats.seconds_left is None
    stats.admitted("c")
    write(stats, "c", 10)
    stats.finished("c")
    clock.now = 4.0
    assert stats.seconds_left == pytest.approx(10 / 3 / (10 / 4))


def test_a_row_of_a_worker_that_died_is_counted_once(stats: Stats, clock: Clock) -> None:
    stats.begin(2, 0, 0)
    for row in "ab":
        stats.admitted(row)
        write(stats, row, 50)
    stats.finished("a")
    stats.left("b")
    stats.admitted("b")
    stats.resumed("b", 50)
    stats.finished("b")
    clock.now = 2.0
    assert stats.seconds_left == pytest.approx(0, abs=0.01)


def test_worker_processes_tell_the_same(stats: Stats, clock: Clock) -> None:
    theirs, tally = Stats(clock), Tally(lambda: None)
    for observer in (stats, tally):
        for row, tokens in (("a", 40), ("b", 60), ("c", 30)):
            observer.admitted(row)
            observer.resumed(row, 5)
            write(observer, row, tokens)
        observer.finished("a")
    taken = tally.take()
    theirs.begin(9, 0, 0)
    stats.total = 9
    for what, row, *more in taken["rows"]:
        if what in ("admitted", "resumed"):
            getattr(theirs, what)(row, *more)
    theirs.progress(
        taken["kept"], taken["turns"], taken["switches"], read_usage(taken["usage"]), taken["grown"]
    )
    theirs.finished("a")
    clock.now = 5.0
    assert theirs.seconds_left == pytest.approx(stats.seconds_left)
    assert tally.take()["grown"] == {}
