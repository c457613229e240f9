"""What of a draft is kept: its text, and exactly the tokens that lie in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessy.draft import Draft
from tessy.seam import place
from tessy.types import Chunk, Label, Span, Turn


def draft(*chunks: Chunk, turn: Turn | None = None) -> Draft:
    made = Draft(turn or Turn("student"))
    for chunk in chunks:
        made.extend(chunk)
    return made


WORDS = (
    "so",
    " ",
    "\n",
    "x",
    ".",
    "\n\n",
    "3.14",
    "(",
    '"',
    "等",
    "。",
    "\u00a0",
    "e\u0301",
    "\\frac",
    "👩\u200d👧",
    "た",
)
WHOLE = Chunk("Hmm, so .\n", 4, (1, 2, 3, 4), (0, 3, 4, 7), finish="length")
RUNNING = Chunk("Hmm, so .", 4, (1, 2, 3, 4), (0, 3, 4, 7))


def test_a_draft_kept_whole_keeps_all_its_tokens() -> None:
    span = draft(WHOLE).span(10, 0)
    assert (span.text, span.ids, span.covered, span.tokens) == ("Hmm, so .\n", (1, 2, 3, 4), 10, 4)


def test_end_marks_go_with_the_whole_text_only() -> None:
    made = draft(Chunk("ab", 3, (1, 2, 9), (0, 1, 2), finish="end_of_thinking"))
    assert made.span(2, 0).ids == (1, 2, 9)
    assert made.tokens_before(2) == 2
    assert made.span(1, 0).ids == (1,)


def test_a_cut_at_a_token_keeps_the_tokens_before() -> None:
    span = draft(WHOLE).span(4, 0)
    assert (span.text, span.ids, span.covered, span.tokens) == ("Hmm,", (1, 2), 4, 2)


def test_a_cut_inside_a_token_leaves_its_text_to_be_encoded() -> None:
    span = draft(WHOLE).span(5, 0)
    assert (span.text, span.ids, span.covered, span.tokens) == ("Hmm, ", (1, 2), 4, 3)


def test_tokens_of_one_character_are_cut_together() -> None:
    made = draft(Chunk("abc🎉d", 6, (1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 3, 4), finish="length"))
    assert made.span(3, 0).ids == (1, 2, 3)
    assert made.span(4, 0).ids == (1, 2, 3, 4, 5)
    assert made.tokens_before(3) == 3


def test_the_last_token_of_a_running_stream_may_hold_more_than_was_shown() -> None:
    span = draft(RUNNING).span(9, 0)
    assert (span.text, span.ids, span.covered, span.tokens) == ("Hmm, so .", (1, 2, 3), 7, 4)


def test_a_stop_string_inside_a_token() -> None:
    made = draft(WHOLE)
    made.end_at(5)
    assert (made.text, made.finish, made.tokens) == ("Hmm, ", "stop", 3)
    assert made.span(5, 0).ids == (1, 2)
    made = draft(WHOLE)
    made.end_at(4)
    assert made.span(4, 0).ids == (1, 2)


def test_pieces_of_a_long_turn_share_their_tokens_out() -> None:
    made = draft(WHOLE)
    made.settled = 10
    assert made.block_end(2) == 4
    first = made.span(4, 0)
    made.commit(4)
    assert made.block_end(2) is None  # the next block would end with the text, whose end is not known
    rest = made.span(10, 0)
    assert first.ids + rest.ids == (1, 2, 3, 4)
    assert first.tokens + rest.tokens == 4
    assert first.text + rest.text == made.text


def test_a_resumed_draft_goes_on_behind_its_pieces() -> None:
    begun = Span("student", "think", "Hmm,", 0, 2, (1, 2), 4, labels=(Label(0, 4, True),))
    made = Draft(Turn("student"), [begun])
    assert (made.settled, made.committed, made.committed_tokens, made.tokens) == (4, 4, 2, 2)
    made.extend(Chunk(" so", 1, (3,), (0,), finish="length"))
    made.add_labels([Label(4, 7, False)])
    assert made.first(style=False) == 4
    span = made.span(7, 0)
    assert (span.text, span.ids, span.covered, span.tokens, span.kind) == (" so", (3,), 3, 1, "capability")


def test_without_tokens_counts_are_shared_out_by_length() -> None:
    made = draft(Chunk("0123456789", 4, exact=False, finish="length"))
    span = made.span(5, 0)
    assert (span.ids, span.covered, span.tokens, span.exact) == (None, 0, 2, False)


def hidden(text: str, settled: int | None = None, *, tokens: int = 300) -> Draft:
    """A running draft of an engine that hides its tokens."""
    made = draft(Chunk(text, tokens, exact=False))
    made.settled = len(text) if settled is None else settled
    return made


def test_without_tokens_a_block_ends_at_a_place_that_is_safe() -> None:
    assert hidden("so we get 34", 12).block_end(256) == 9
    assert hidden("so we get 34", 4).block_end(256) == 2
    assert hidden("so we get 34 ").block_end(256) == 9  # " ." may follow and belong to the number
    assert hidden("so we get 46.\n\n").block_end(256) == 9
    assert hidden("so we get 46.\n\nW").block_end(256) == 15
    assert hidden("so we get 46.\n\nW", 13).block_end(256) is None  # the place is not settled yet
    assert hidden("10\u00a0000 km").block_end(256) == 6
    assert hidden("答案是四。等").block_end(256) == 5
    assert hidden("x" * 9000).block_end(256) is None
    assert hidden("a " + "x" * 9000).block_end(256) is None
    assert hidden("   ").block_end(256) is None
    assert hidden("so we get 34", tokens=200).block_end(256) is None


def test_without_tokens_the_next_block_begins_behind_the_last() -> None:
    made = hidden("so we get 34")
    made.commit(9)
    assert made.block_end(256) is None
    made.extend(Chunk(" and so on" * 40, 300, exact=False))
    made.settled = len(made)
    assert made.block_end(256) == len(made) - 3
    made.extend(Chunk(finish="stop"))
    assert made.block_end(256) is None


@given(st.lists(st.sampled_from(WORDS), max_size=30), st.data())
def test_a_block_end_is_where_a_cut_there_would_be(words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    made = hidden(text, data.draw(st.integers(0, len(text))))
    end = made.block_end(256)
    if end is not None:
        assert 0 < end <= made.settled
        for more in ("", "x", " x", ".", "\n", "\u0301", "等"):
            assert place(text + more, end) == end


@given(st.lists(st.text(max_size=4)), st.integers(0, 60))
def test_the_rest_of_a_text(parts: list[str], start: int) -> None:
    made, text = draft(*map(Chunk, parts)), "".join(parts)
    assert made.since(start) == text[start:]
    assert made.text == text
    assert made.since(start) == text[start:]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_tokens_and_remainder_always_make_the_text(widths: list[int], data: st.DataObject) -> None:
    offsets, at = [], 0
    for width in widths:
        offsets.append(at)
        at += width
    text = "x" * at
    made = draft(Chunk(text, len(widths), tuple(range(len(widths))), tuple(offsets), finish="length"))
    end = data.draw(st.integers(0, at))
    if end == 0:
        return
    span = made.span(end, 0)
    assert span.text == text[:end]
    assert span.ids is not None
    assert sum(widths[: len(span.ids)]) == span.covered <= end


def test_no_cut_and_no_block_parts_a_character_of_several_tokens() -> None:
    """Also where the first of them holds the space before it, as in vocabularies of bytes."""
    made = draft(Chunk("okay 🙂,", 5, (1, 2, 3, 4, 5), (0, 4, 4, 4, 6)))
    assert made.span(5, 0).ids == (1,), "half a character would stay in the model's context"
    made.settled = len(made)
    assert made.block_end(2) == 6
    assert made.block_end(1) == 4


def test_where_a_kind_begins_takes_no_look_at_every_label() -> None:
    made = draft(Chunk("ab" * 50, 1))
    made.add_labels(Label(i, i + 1, i >= 30, i / 100) for i in range(60))
    assert (made.first(style=True), made.first(style=False)) == (30, 0)
    guessed = draft(Chunk("ab" * 50, 1)).guessed([Label(0, 3, True, 0.5)])
    assert (guessed.first(style=True), guessed.first(style=False)) == (0, None)
