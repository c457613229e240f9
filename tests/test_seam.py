from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.seam import first_word_end, place


def cut(marked: str) -> str:
    """``"ab|cd"``: cut at the bar; the result marked the same way."""
    at = marked.index("|")
    text = marked[:at] + marked[at + 1 :]
    i = place(text, at)
    return text[:i] + "|" + text[i:]


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ("that is 46.| Wait, no", "that is 46.| Wait, no"),
        ("that is 46. |Wait, no", "that is 46.| Wait, no"),
        ("that is 46. Wa|it, no", "that is 46.| Wait, no"),
        ("that is 46. Wait|, no", "that is 46.| Wait, no"),
        ("that is   |46", "that is|   46"),
        ("so| far", "so| far"),
        ("|whole", "|whole"),
        ("who|le", "|whole"),
        ("whole|", "whole|"),
        ("ends in a space |", "ends in a space |"),
    ],
)
def test_the_space_is_left_to_the_next_model(wanted: str, got: str) -> None:
    assert cut(wanted) == got


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ("is 46.|\n\nWait", "is 46.\n\n|Wait"),
        ("is 46.\n|\nWait", "is 46.\n\n|Wait"),
        ("is 46.\n\n|Wait", "is 46.\n\n|Wait"),
        ("is 46.\n\nWa|it", "is 46.\n\n|Wait"),
        ("is 46. |\n \n  Wait", "is 46. \n \n|  Wait"),
        ("is 46. \n \n |Wait", "is 46. \n \n| Wait"),
        ("is 46.|\r\n\r\nWait", "is 46.\r\n\r\n|Wait"),
        ("done.|\n\n", "done.\n\n|"),
        ("```py|\nx", "```py|\nx"),
        ("x = 1|\n\nWait", "x = 1|\n\nWait"),
        ("x = 1\n|\nWait", "x = 1|\n\nWait"),
        ("x = 1\n\n|Wait", "x = 1\n\n|Wait"),
        ("x = 1\n\n  |Wait", "x = 1\n\n|  Wait"),
        ("end.|\n\u0301x y", "|end.\n\u0301x y"),
        ("is 46\u00a0|\nWait", "is| 46\u00a0\nWait"),
        ("is 46.\u202f|\n", "is| 46.\u202f\n"),
    ],
)
def test_newlines_stay_with_the_punctuation_before_them(wanted: str, got: str) -> None:
    assert cut(wanted) == got


@pytest.mark.parametrize(
    "word",
    [
        "3.14",
        "1,000,000",
        "1\u00a0000",
        "don't",
        "it’s",
        "well-known",
        "snake_case",
        "a.b.c()",
        "\\frac{1}{2}",
        "a\\ b",
        "https://example.org/a?b=c",
        "e\u0301e\u0301",
        "👩\u200d👩\u200d👧",
        "🇩🇪🇫🇷",
        "नमस्ते",
        "한국어",
        "$x^2$",
        "(see",
        "see)",
        "wait,",
        "“quoted”",
    ],
)
def test_words_are_atomic(word: str) -> None:
    text = f"a {word} b"
    for at in range(2, 2 + len(word)):
        assert place(text, at) == 1, text[:at]
    assert place(text, 2 + len(word)) == 2 + len(word)


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ("say (| x)", "say|( x)".replace("|(", "| (")),
        ('say "| x"', 'say| " x"'),
        ('say "x"| y', 'say "x"| y'),
        ("say “| x”", "say| “ x”"),
        ("Wait| , no", "|Wait , no"),
        ("f (x| ) y", "f| (x ) y"),
        ("a \\\\| b", "a \\\\| b"),
        ("a \\| b", "a| \\ b"),
        ("a b\u00a0| c", "a| b\u00a0 c"),
    ],
)
def test_brackets_quotes_and_stops_stay_with_their_word(wanted: str, got: str) -> None:
    assert cut(wanted) == got


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ("答案是四。|等等", "答案是四。|等等"),
        ("答案是四|。等等", "答案是|四。等等"),
        ("所以|x等于2", "所以|x等于2"),
        ("所以x|等于2", "所以x|等于2"),
        ("四。|\n\n等等", "四。\n\n|等等"),
        ("食べ|た", "|食べた"),
        ("食べた|後", "食べた|後"),
        ("葛\U000e0100|城", "|葛\U000e0100城"),
    ],
)
def test_text_without_spaces_has_places(wanted: str, got: str) -> None:
    assert cut(wanted) == got


def test_a_place_is_where_a_token_begins() -> None:
    text = "so x is two, wait"
    assert place(text, 12, [0, 2, 4, 7, 12]) == 12
    assert place(text, 12, [0, 2, 4, 7]) == 7
    assert place(text, 12, [0]) == 0
    assert place(text, 12, []) == 0
    assert place("so.\n\nx", 3, [0, 2, 5]) == 5
    assert place("a so.\n\nx", 5, [0, 1, 4, 6]) == 1
    assert place(text, len(text), [0]) == len(text)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("Wait, no", 5),
        (" Wait, no", 6),
        ("\n\nDone.\n\nThen", 7),
        ("Wait,", None),
        ("Wait, ", None),
        ("", None),
        ("  ", None),
        ("( x ) y", 5),
        ("wait , no", 6),
        ("等等，不对", 1),
        ("3.14 is", 4),
        ("\u00a0\n\u00a0", None),
        ("\u00a0\nso it", 4),
    ],
)
def test_the_first_word_ends_with_its_punctuation(text: str, end: int | None) -> None:
    assert first_word_end(text) == end


def test_the_first_word_can_be_sought_further_on() -> None:
    assert first_word_end("Wait, no more", 5) == 8
    assert first_word_end("Wait, no more", 0, [0, 8]) == 8


spaces = (" ", "  ", "\n", "\n\n", "\r\n", "\t", "\u00a0")
marks = (".", ",", "(", ")", '"', "\\", "。", "「", "-", "`")
words = (
    "word",
    "3.14",
    "1",
    "don't",
    "等",
    "以",
    "た",
    "é",
    "e\u0301",
    "\u0301",
    "\u200d",
    "👩\u200d👧",
    "🇩🇪",
    "$x$",
)
pieces = st.sampled_from(spaces + marks + words)
texts = st.lists(pieces | st.text(max_size=3), max_size=14).map("".join)


def crosses_newlines(text: str, at: int, result: int) -> bool:
    start = at
    while start > 0 and text[start - 1].isspace():
        start -= 1
    crossed = text[at:result]
    return (
        crossed.isspace() and crossed[-1] in "\r\n" and unicodedata.category(text[start - 1])[0] not in "LN"
    )


@given(texts, st.data())
def test_places_hold_under_any_unicode(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    offsets = data.draw(st.none() | st.sets(st.integers(0, max(0, len(text) - 1))).map(sorted))
    i = place(text, at, offsets)
    assert 0 <= i <= len(text)
    assert i <= at or crosses_newlines(text, at, i)
    assert place(text, i, offsets) == i
    if 0 < i < len(text):
        left, right = text[i - 1], text[i]
        assert unicodedata.category(right)[0] != "M"
        assert right != "\u200d"
        assert not (left == "\r" and right == "\n")
        assert not (left.isascii() and right.isascii() and left.isalnum() and right.isalnum())
        assert not (left.isspace() and left not in "\r\n")
        assert offsets is None or i in offsets


@given(texts, st.data())
def test_a_search_can_end_early(text: str, data: st.DataObject) -> None:
    at, start = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))
    assert place(text, at, start=start) == max(place(text, at), start)


@given(texts)
def test_a_first_word_is_kept_by_its_place(text: str) -> None:
    end = first_word_end(text)
    if end is not None:
        assert text[:end].strip()
        assert place(text, end) >= end


@given(texts, st.data())
def test_what_follows_the_next_word_does_not_matter(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    assert place(text + "x", at) == place(text + "x and more", at)


def test_the_time_is_linear_in_the_distance() -> None:
    for text in (
        " " * 200_000 + "x",
        "\n" * 200_000 + "x",
        "x" * 200_000,
        "\\" * 100_000 + " x",
        "('" * 50_000 + " x",
    ):
        assert place(text, len(text) - 1) <= len(text)
        first_word_end(text)
