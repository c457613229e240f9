"""What is said to be left of a run, against runs whose end is known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from heapq import heappop, heappush
from statistics import median

import pytest

from tessy.forecast import Forecast, Lengths


def moment(lengths: Sequence[int], places: int, part: float) -> tuple[list[int], list[tuple[int, int]], int]:
    """A run of rows that grow by a token a tick, so many at once, when a part of them has ended.

    Lengths of those that have ended, of those under way (so far, in the end), and ticks until the run's end.
    """
    free: list[int] = []
    starts = []
    for length in lengths:
        starts.append(heappop(free) if len(starts) >= places else 0)
        heappush(free, starts[-1] + length)
    ends = [start + length for start, length in zip(starts, lengths, strict=True)]
    now = sorted(ends)[round(part * len(lengths)) - 1]
    ended = [length for length, end in zip(lengths, ends, strict=True) if end <= now]
    active = [
        (now - start, length)
        for start, end, length in zip(starts, ends, lengths, strict=True)
        if start < now < end
    ]
    return ended, active, max(ends) - now


ALL_AT_ONCE, IN_TURN = (240, 240), (1000, 64)


@pytest.mark.parametrize(
    ("run", "part", "factor", "times"),
    [
        # Of rows that begin together only short ones have ended, and their last one takes long.
        (ALL_AT_ONCE, 0.1, 3.5, 6),
        (ALL_AT_ONCE, 0.3, 2.5, 5),
        (ALL_AT_ONCE, 0.6, 2, 2.5),
        (IN_TURN, 0.1, 1.5, 2),
        (IN_TURN, 0.3, 1.5, 2),
        (IN_TURN, 0.6, 1.5, 2.5),
    ],
)
@pytest.mark.parametrize("spread", [0.4, 0.7])
def test_tokens_and_time_left_of_log_normal_lengths(
    run: tuple[int, int], part: float, factor: float, times: float, spread: float
) -> None:
    rows, places = run
    ratios = []
    for seed in range(12):
        rng = random.Random(f"{spread} {seed}")
        lengths = [max(1, round(rng.lognormvariate(6, spread))) for _ in range(rows)]
        ended, begun, ticks = moment(lengths, places, part)
        sizes, active = Lengths.of(ended), Lengths.of(size for size, _ in begun)
        forecast = Forecast.fit(sizes, active)
        assert forecast is not None
        left = forecast.left(sizes, active, rows - sizes.rows - active.rows)
        true = sum(lengths) - sum(ended) - sum(size for size, _ in begun)
        time = max(left / len(begun), forecast.longest(active))
        assert 1 / times <= time / ticks <= times, seed
        ratios.append(left / true)
    assert 1 / factor <= min(ratios) <= max(ratios) <= factor
    assert 0.6 <= median(ratios) <= 1.6


def test_without_rows_under_way_the_mean_is_that_of_those_that_have_ended() -> None:
    ended, active = Lengths.of([1, 10, 20, 3000, 0]), Lengths()
    forecast = Forecast.fit(ended, active)
    assert forecast is not None
    assert forecast.left(ended, active, 10) == pytest.approx(10 * 3031 / 5)
    assert forecast.left(ended, active, 0) == 0
    assert forecast.longest(active) == pytest.approx(0, abs=0.01)


def test_rows_that_all_ended_at_nothing_tell_nothing() -> None:
    assert Forecast.fit(Lengths(), Lengths.of([5, 9])) is None
    assert Forecast.fit(Lengths.of([0, 0]), Lengths.of([5])) is None


def test_extremes_are_borne() -> None:
    for ended, active in (([1], [10**7] * 900), ([10**7] * 900, [1]), ([5], [5] * 9), ([5], [0] * 9)):
        sizes, open_ = Lengths.of(ended), Lengths.of(active)
        forecast = Forecast.fit(sizes, open_)
        assert forecast is not None
        assert 0 <= forecast.left(sizes, open_, 3) < 1e12
        assert 0 <= forecast.longest(open_) < 1e12


@pytest.mark.parametrize(("rows", "length", "long"), [(2000, 100, 6000), (10_000, 5, 40_000)])
def test_a_row_many_times_as_long_as_all_others_is_no_end_of_reckoning(
    rows: int, length: int, long: int
) -> None:
    ended, active = Lengths.of(length + i % 3 for i in range(rows)), Lengths.of([long])
    forecast = Forecast.fit(ended, active)
    assert forecast is not None
    assert 0 < forecast.longest(active) < long
    assert 0 < forecast.left(ended, active, 0) < long
