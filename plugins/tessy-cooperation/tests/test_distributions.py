"""The formulas, worked out by hand."""

from __future__ import annotations

from math import log

import pytest

from tessy_cooperation.distributions import divergence, entropy
from tessy_cooperation.keywords import find_words


def top(**p: float) -> list[tuple[str, float]]:
    return [(token, log(one)) for token, one in p.items()]


def test_entropy() -> None:
    assert entropy(top(a=1.0)) == 0
    assert entropy(top(a=0.25, b=0.25, c=0.25, d=0.25)) == pytest.approx(log(4))
    # A rest of 0.5 is one token more, or left out: then a and b are all there is.
    assert entropy(top(a=0.25, b=0.25)) == pytest.approx(0.5 * log(2) + 0.5 * log(4))
    assert entropy(top(a=0.25, b=0.25), rest=False) == pytest.approx(log(2))


def test_divergence() -> None:
    assert divergence(top(a=0.7, b=0.3), top(b=0.3, a=0.7)) == pytest.approx(0, abs=1e-12)
    assert divergence(top(a=0.5, b=0.5), top(a=0.75, b=0.25)) == pytest.approx(
        0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)
    )
    # The rests, 0.4 and 0.2, are one token more.
    assert divergence(top(a=0.6), top(a=0.8)) == pytest.approx(0.6 * log(0.6 / 0.8) + 0.4 * log(0.4 / 0.2))
    # What the student does not list is at most as likely as its last: b counts as 0.1, the rest as 0.
    assert divergence(top(a=0.5, b=0.5), top(a=0.9, c=0.1)) == pytest.approx(
        0.5 * log(0.5 / 0.9) + 0.5 * log(0.5 / 0.1)
    )
    # It is never infinite, nor below zero.
    assert 10 < divergence(top(a=1.0), [("b", log(1e-9))]) < 30


def test_keywords_begin_a_word() -> None:
    def found(text: str) -> list[str]:
        return [match.group() for match in find_words(("wait", "hold on", "yes"), text)]

    assert found("Wait, hold on: yesterday I awaited it. WAITING") == ["Wait", "hold on", "yes", "WAIT"]
    assert list(find_words((), "anything")) == []
