"""Bags of tokens, cosine of TF-IDF vectors, divergence of style: against slow plain forms."""

from __future__ import annotations

from collections import Counter
from math import log, log2, sqrt
from random import Random

import pytest

from tessy.metrics import count_terms, pack, unpack
from tessy.metrics.divergence import divergence
from tessy.metrics.similarity import Reference
from tessy.metrics.terms import Bag


def bag(text: str, style: str = "") -> Bag:
    """Of words; those in ``style`` are style."""
    total, styled = Counter(text.split()), Counter(style.split())
    return {term: (count, styled[term]) for term, count in total.items()}


def slow_cosine(ours: str, theirs: str, reference: list[str]) -> float:
    def weights(text: str) -> dict[str, float]:
        having = {word: sum(word in other.split() for other in reference) for word in text.split()}
        return {
            word: count * (log((1 + len(reference)) / (1 + having[word])) + 1)
            for word, count in Counter(text.split()).items()
        }

    a, b = weights(ours), weights(theirs)
    product = sum(value * b.get(word, 0) for word, value in a.items())
    return product / sqrt(sum(v * v for v in a.values())) / sqrt(sum(v * v for v in b.values()))


def test_a_bag_counts_tokens_by_their_text() -> None:
    found = count_terms(
        [("so so so", [0, 2, 5], [True, False, True]), ("é!", [0, 0, 1], [False, False, True])]
    )
    # The first two tokens of "é!" share a character.
    assert found == {"so": (1, 1), " so": (2, 1), "é": (1, 0), "!": (1, 1)}
    assert unpack(pack(found)) == found


def test_similarity_is_the_cosine_of_weighted_counts() -> None:
    draw = Random(5)
    words = [f"w{n}" for n in range(30)]
    theirs = [" ".join(draw.choices(words, k=40)) for _ in range(12)]
    reference = Reference((("ref", n), f"p{n % 6}", bag(text)) for n, text in enumerate(theirs))
    for n in range(6):
        ours = " ".join(draw.choices([*words, "new", "words"], k=25))
        expected = (slow_cosine(ours, theirs[n], theirs) + slow_cosine(ours, theirs[n + 6], theirs)) / 2
        assert reference.similarity(("run", n), f"p{n}", bag(ours)) == pytest.approx(expected)


def test_the_same_text_is_one_and_another_vocabulary_nothing() -> None:
    reference = Reference([("r", "p", bag("a b b c")), ("s", "q", bag("d"))])
    assert reference.similarity("x", "p", bag("c b a b")) == pytest.approx(1)
    assert reference.similarity("x", "p", bag("z y d")) == 0


def test_a_row_is_not_held_against_itself() -> None:
    reference = Reference([("r", "p", bag("a b")), ("s", "q", bag("a")), ("t", "q", bag("a c"))])
    assert reference.similarity("r", "p", bag("a b")) is None
    assert reference.similarity("x", "unknown", bag("a b")) is None
    assert reference.similarity("x", "p", bag("")) is None
    other = reference.similarity("s", "q", bag("a"))
    assert other is not None
    assert other < 1


def test_divergence_by_hand() -> None:
    ours = [("p", bag("hmm hmm wait x", style="hmm hmm wait"))]
    theirs = [("p", bag("hmm so so y y", style="hmm so so"))]
    p, q = {"hmm": 2 / 3, "wait": 1 / 3}, {"hmm": 1 / 3, "so": 2 / 3}
    middle = {word: (p.get(word, 0) + q.get(word, 0)) / 2 for word in {*p, *q}}
    kl = [sum(v * log2(v / middle[word]) for word, v in side.items()) for side in (p, q)]
    found = divergence(ours, theirs, resamples=0, seed=0)
    assert found is not None
    assert found.value == pytest.approx(sum(kl) / 2)
    same = divergence(ours, ours, resamples=0, seed=0)
    apart = divergence(ours, [("p", bag("no", style="no"))], resamples=0, seed=0)
    assert same is not None
    assert apart is not None
    assert (same.value, apart.value) == (pytest.approx(0, abs=1e-12), pytest.approx(1))


def test_divergence_needs_style_on_both_sides() -> None:
    assert divergence([("p", bag("a"))], [("p", bag("b", style="b"))], resamples=10, seed=0) is None
    assert divergence([], [("p", bag("b", style="b"))], resamples=10, seed=0) is None


def test_the_divergence_lies_in_its_interval() -> None:
    draw = Random(1)

    def rows(words: str) -> list[tuple[str, Bag]]:
        texts = (" ".join(draw.choices(words.split(), k=30)) for _ in range(40))
        return [(f"p{n}", bag(text, style=text)) for n, text in enumerate(texts)]

    found = divergence(rows("hmm wait so okay"), rows("hmm wait so thus"), resamples=200, seed=0)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.value < found.high < 1
    # Percentiles of resamples of two equal sources would all lie above their value; this holds it.
    floor = divergence(rows("hmm wait so okay"), rows("hmm wait so okay"), resamples=200, seed=0)
    assert floor is not None
    assert floor.low is not None
    assert floor.low <= floor.value < 0.01
