"""Figures of runs and their intervals."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from tessy.metrics import Ratio
from tessy.metrics.bootstrap import estimates


def rows(count: int, seed: int = 0) -> list[tuple[str, dict[str, Ratio]]]:
    draw = Random(seed)
    found = []
    for i in range(count):
        tokens = draw.randint(50, 150)
        nll = tokens * draw.gauss(1.0, 0.2)
        found.append((f"p{i}", {"nll": Ratio(nll, tokens), "perplexity": Ratio(nll, tokens, "exp")}))
    return found


def test_a_figure_is_a_ratio_of_sums() -> None:
    found = estimates([("a", {"x": Ratio(1, 2)}), ("b", {"x": Ratio(5, 2), "y": Ratio(3, 1)})])
    assert (found["x"].value, found["x"].rows) == (1.5, 2)
    assert (found["y"].value, found["y"].rows) == (3, 1)


def test_the_interval_is_about_two_standard_errors_wide() -> None:
    data = rows(400)
    found = estimates(data)
    nll = found["nll"]
    assert nll.low is not None
    assert nll.high is not None
    # The ratio's standard error by its linearised form.
    total = sum(shares["nll"].below for _, shares in data)
    error = sum((s["nll"].above - nll.value * s["nll"].below) ** 2 for _, s in data) ** 0.5 / total
    assert (nll.high - nll.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert nll.low < nll.value < nll.high
    ppl = found["perplexity"]
    assert ppl.value == pytest.approx(exp(nll.value))
    assert (ppl.low, ppl.high) == (pytest.approx(exp(nll.low)), pytest.approx(exp(nll.high)))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inside = 0
    for seed in range(200):
        found = estimates(rows(60, seed), resamples=200, seed=seed)["nll"]
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 1.0 <= found.high
    assert 178 <= inside <= 199, inside


def test_samples_of_one_prompt_are_no_independent_prompts() -> None:
    once = rows(50)
    four = [(prompt, shares) for prompt, shares in once for _ in range(4)]
    one, many = estimates(once)["nll"], estimates(four)["nll"]
    assert many.value == pytest.approx(one.value)
    assert (many.low, many.high) == (pytest.approx(one.low), pytest.approx(one.high))


def test_equal_seeds_give_equal_intervals() -> None:
    assert estimates(rows(20), seed=3) == estimates(rows(20), seed=3)
    assert estimates(rows(20), seed=3) != estimates(rows(20), seed=4)


def test_one_prompt_or_no_resamples_give_no_interval() -> None:
    assert estimates(rows(1))["nll"].low is None
    assert estimates(rows(5), resamples=0)["nll"].low is None
    assert estimates([]) == {}


def test_a_figure_that_few_rows_have_part_in() -> None:
    data = rows(30)
    data[7][1]["rare"] = Ratio(2, 1)
    found = estimates(data)["rare"]
    assert (found.value, found.low, found.high, found.rows) == (2, 2, 2, 1)
