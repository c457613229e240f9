from __future__ import annotations

import pytest

from tessy.labelling.metrics import cut_errors, matched, measure
from tessy.labelling.segments import Segment
from tessy.labelling.words import boundaries, word_labels, words

TEXT = "Hmm, wait. So x = 2. Let me check if x is even."


def spans_of(*pieces: str) -> tuple[tuple[int, int], ...]:
    return tuple((TEXT.index(piece), TEXT.index(piece) + len(piece)) for piece in pieces)


GOLD = spans_of("Hmm, wait. So", "Let me check if")


def test_the_same_is_perfect_and_nothing_is_nothing() -> None:
    segment = Segment("a", TEXT, GOLD)
    same, none = measure([segment], [GOLD]), measure([segment], [()])
    assert (same["f1"], same["boundary_f1"], same["cut_exact"]) == (1, 1, 1)
    assert (none["precision"], none["recall"], none["f1"], none["boundary_f1"]) == (0, 0, 0, 0)
    empty = Segment("b", "x = 2", ())
    assert measure([empty], [()])["f1"] == 1


def test_words_are_counted_by_hand() -> None:
    found = measure([Segment("a", TEXT, GOLD)], [spans_of("Hmm, wait.", "Let me check if x")])
    # 7 words are style; 7 are found, one of them wrong, one missing.
    assert found["precision"] == pytest.approx(6 / 7)
    assert found["recall"] == pytest.approx(6 / 7)
    # Boundaries: style ends twice and begins once; both ends are one word off.
    assert found["boundary_f1"] == pytest.approx(1 / 3)
    assert found["boundary_f1_1"] == 1
    assert found["cut_exact"] == pytest.approx(1 / 3)


def test_a_boundary_is_matched_once() -> None:
    assert matched([3, 4], [3], 1) == 1
    assert matched([2, 4], [3, 5], 1) == 2
    assert matched([9], [3], 1) == 0


def test_cuts_too_early_and_too_late_in_characters() -> None:
    at = words("aa bb cc dd")
    gold = [True, True, False, False]
    assert list(cut_errors(at, gold, [True, False, False, False])) == [(True, -3)]
    assert list(cut_errors(at, gold, [True, True, True, False])) == [(True, 3)]
    assert list(cut_errors(at, gold, gold)) == [(True, 0)]


def test_a_word_is_style_if_a_span_touches_it() -> None:
    at = words("  Hmm, so\nx ")
    assert word_labels(at, [(2, 5)]) == [True, False, False]
    assert boundaries([True, False, False, True], style=True) == [3]
    assert boundaries([True, False, False, True], style=False) == [1]
