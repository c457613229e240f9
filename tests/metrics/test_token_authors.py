"""Tokens and their authors, and what is summed over them, by hand."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.metrics import Piece, Token, attribute, ratios, row_scores, split_kinds, sum_up
from tessy.metrics.sums import Sums
from tessy.types import Scores, TokenLogprob

#       0         10        20
TEXT = "Hmm, so 3 + 4 = 7. Okay."
PIECES = [
    Piece(0, 7, "student", "style"),
    Piece(7, 18, "teacher", "capability"),
    Piece(18, 24, "student", "style"),
]


def scores(*tokens: tuple[int, float, int | None]) -> Scores:
    """Of ``(offset, NLL, rank)``."""
    return Scores(
        tuple(at for at, _, _ in tokens), tuple(TokenLogprob(-nll, rank) for _, nll, rank in tokens)
    )


def tokens(*values: tuple[float, str, str | None], rank: int | None = 1) -> list[Token]:
    """Of ``(NLL, author, kind)``."""
    return [Token(nll, rank, author, "think", kind) for nll, author, kind in values]


def test_a_token_belongs_to_the_author_of_its_first_character() -> None:
    # " so 3" begins in the student's span and reaches into the teacher's; so does " 7. O" into the student's.
    rated = scores((0, 1.0, 1), (4, 2.0, 2), (9, 3.0, 3), (15, 4.0, 4), (20, 5.0, 5))
    found = list(attribute(rated, PIECES, "think"))
    assert [token.author for token in found] == ["student", "student", "teacher", "teacher", "student"]
    assert [token.kind for token in found] == ["style", "style", "capability", "capability", "style"]
    assert [(token.nll, token.rank) for token in found] == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]


def test_pieces_without_text_have_no_tokens() -> None:
    pieces = [Piece(0, 0, "student", None), Piece(0, 3, "teacher", None), Piece(3, 3, "student", None)]
    found = attribute(scores((0, 1.0, 1), (1, 1.0, 1)), pieces, "answer")
    assert [token.author for token in found] == ["teacher", "teacher"]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_split_pieces_tile_the_text_and_follow_the_spans(lengths: list[int], data: st.DataObject) -> None:
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    pieces = [
        Piece(end - n, end, f"a{i}", None) for i, (n, end) in enumerate(zip(lengths, ends, strict=True))
    ]
    marks = sorted(data.draw(st.sets(st.integers(0, ends[-1]), max_size=6)))
    style = list(zip(marks[::2], marks[1::2], strict=False))
    found = split_kinds(pieces, style)
    for at in range(ends[-1]):
        (piece,) = [one for one in found if one.start <= at < one.end]
        assert piece.author == next(one.author for one in pieces if one.start <= at < one.end)
        assert piece.kind == ("style" if any(a <= at < b for a, b in style) else "capability")
    assert [(one.start, one.end) for one in found] == sorted((one.start, one.end) for one in found)


def test_losses_by_group() -> None:
    sums = sum_up(
        [
            tokens((1.0, "student", "style"), (2.0, "teacher", "capability"), (4.0, "teacher", "capability")),
            [Token(0.5, 1, "student", "answer", None)],
        ]
    )
    found = row_scores(ratios(sums))
    assert found["nll"] == pytest.approx(7.5 / 4)
    assert found["perplexity"] == pytest.approx(exp(7.5 / 4))
    assert found["grape"] == pytest.approx(exp(-7.5 / 4))
    assert found["nll_teacher"] == pytest.approx(3)
    assert found["perplexity_teacher"] == pytest.approx(exp(3))
    assert found["nll_student"] == pytest.approx(0.75)
    assert found["nll_style"] == pytest.approx(1)
    assert found["nll_capability"] == pytest.approx(3)
    assert found["nll_think"] == pytest.approx(7 / 3)
    assert found["nll_answer"] == pytest.approx(0.5)
    assert "similarity" not in found


def test_ranks_count_up_to_a_hundred_and_only_where_all_are_known() -> None:
    rated = [
        *tokens((1.0, "student", None), rank=1),
        *tokens((2.0, "student", None), rank=100),
        *tokens((5.0, "student", None), rank=150_000),
    ]
    assert row_scores(ratios(sum_up([rated])))["rank_surprisal"] == pytest.approx(201 / 8)
    unknown = [*rated, *tokens((1.0, "student", None), rank=None)]
    assert "rank_surprisal" not in row_scores(ratios(sum_up([unknown])))


def test_first_tokens_are_held_against_their_neighbours() -> None:
    s, t = "student", "teacher"
    rated = tokens(
        (9.0, s, "style"), (1.0, s, "style"), (1.0, s, "style"), (1.0, s, "style"), (1.0, s, "style"),
        (8.0, t, "style"), (2.0, t, "style"), (2.0, t, "capability"),
        (6.0, s, "capability"), (3.0, s, "capability"),
    )  # fmt: skip
    found = row_scores(ratios(sum_up([rated])))
    # To the teacher: four before, two after, and one more after the student's first, which does not count.
    assert found["handover_to_teacher"] == 8
    assert found["handover_around_to_teacher"] == pytest.approx((1 + 1 + 1 + 1 + 2 + 2 + 3) / 7)
    # To the student: four before but the teacher's first, one after.
    assert found["handover_to_student"] == 6
    assert found["handover_around_to_student"] == pytest.approx((1 + 2 + 2 + 3) / 4)
    assert found["handover"] == 7
    assert found["onset_capability"] == 2
    assert found["onset_around_capability"] == pytest.approx((1 + 1 + 8 + 2 + 6 + 3) / 6)
    assert "onset_style" not in found


def test_the_answer_is_no_hand_over() -> None:
    think, answer = tokens((1.0, "teacher", None)), [Token(5.0, 1, "student", "answer", None)]
    assert "handover" not in row_scores(ratios(sum_up([think, answer])))


def test_a_row_without_tokens_has_no_figures() -> None:
    assert row_scores(ratios(sum_up([[], []]))) == {}


def test_sums_come_back_from_json() -> None:
    sums = sum_up([tokens((1.0, "student", "style"), (2.0, "teacher", "capability"), (4.0, "student", None))])
    assert Sums.from_json(sums.as_json()) == sums
