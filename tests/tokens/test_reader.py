"""Tokens become text that is final, and nothing of the chat format gets into it."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.formats import BUILTIN, detect
from tessy.tokens import TokenReader
from tessy.types import Chunk
from tokens.vocabulary import CONTROLS, Vocabulary

VOCABULARY = Vocabulary()
THINK = detect(BUILTIN["chatml-think"], controls=CONTROLS)
CHANNEL = detect(BUILTIN["harmony"], controls=CONTROLS)
MARK = VOCABULARY.special["</think>"]
TOKENS = st.lists(st.one_of(st.integers(0, len(VOCABULARY.pieces) - 1), st.just(10), st.sampled_from(list(VOCABULARY.special.values()))), max_size=40)  # fmt: skip # noqa: E501
TEXT = st.text(st.sampled_from("ab \n.é漢🎉Hmm</think>"), max_size=30)


def read(
    tokens: list[int], sizes: list[int], phase: str = "think", format=THINK
) -> tuple[str, list[int], list[int], str]:
    reader = TokenReader(VOCABULARY, format, phase)  # type: ignore[arg-type]
    chunks: list[Chunk] = []
    at = 0
    for size in [*sizes, len(tokens)]:
        if (chunk := reader.feed(tokens[at : at + size])) is not None:
            chunks.append(chunk)
        at += size
    if reader.finished is None:
        chunks.append(reader.finish("length"))
    text, ids, offsets = "", [], []
    for chunk in chunks:
        assert chunk.tokens == len(chunk.ids) == len(chunk.offsets)
        assert all(0 <= o <= len(chunk.text) for o in chunk.offsets)
        offsets += [len(text) + o for o in chunk.offsets]
        ids += chunk.ids
        text += chunk.text
    assert [c.finish is not None for c in chunks] == [False] * (len(chunks) - 1) + [True]
    return text, ids, offsets, chunks[-1].finish


@given(TOKENS, st.lists(st.integers(0, 5), max_size=20), st.sampled_from(["think", "answer"]))
def test_chunking_makes_no_difference(tokens: list[int], sizes: list[int], phase: str) -> None:
    whole = read(tokens, [], phase)
    assert read(tokens, sizes, phase) == whole
    text, ids, offsets, finish = whole
    assert offsets == sorted(offsets)
    assert ids == tokens[: len(ids)]
    if finish == "length":
        # The text is that of its tokens, and those left out were in the middle of a character.
        assert text == b"".join(map(VOCABULARY.piece, ids)).decode("utf-8", "replace")
        left_out = codecs.getincrementaldecoder("utf-8")("replace")
        left_out.decode(b"".join(map(VOCABULARY.piece, tokens[len(ids) :])))
        assert bool(left_out.getstate()[0]) == (ids != tokens)


@given(TEXT, st.lists(st.integers(1, 3), max_size=40))
def test_text_comes_back_as_it_was(text: str, sizes: list[int]) -> None:
    """Quoting a mark in ordinary tokens is text like any other."""
    ids = VOCABULARY.encode(text)
    found, tokens, offsets, finish = read(ids, sizes)
    assert (found, tokens, finish) == (text, ids, "length")
    # A token stands where its first whole character begins: the text splits there into its own bytes.
    for token, offset in zip(tokens, offsets, strict=True):
        piece = VOCABULARY.piece(token)
        head = piece.decode("utf-8", "ignore")
        if head and piece[0] & 0xC0 != 0x80:
            assert text[offset:].startswith(head)


@given(TEXT, st.lists(st.integers(1, 3), max_size=40))
def test_the_line_break_before_the_mark_belongs_to_the_mark(text: str, sizes: list[int]) -> None:
    ids = [*VOCABULARY.encode(text + "\n"), MARK, *VOCABULARY.encode("never read")]
    found, tokens, offsets, finish = read(ids, sizes)
    assert (found, finish) == (text, "end_of_thinking")
    assert tokens == ids[: ids.index(MARK) + 1]
    assert offsets[-1] == len(text)


def test_a_token_that_holds_the_line_break_stays_with_its_first_character() -> None:
    dot = VOCABULARY.pieces.index(b".\n")
    assert read([97, dot, MARK], [1, 1, 1]) == ("a.", [97, dot, MARK], [0, 1, 2], "end_of_thinking")


def test_a_line_break_that_was_held_back_comes_before_what_follows() -> None:
    dot = VOCABULARY.pieces.index(b".\n")
    ids = [97, dot, 98, dot, MARK]
    assert read(ids, [1] * 5) == read(ids, []) == ("a.\nb.", ids, [0, 1, 3, 4, 5], "end_of_thinking")


def test_characters_come_whole() -> None:
    reader = TokenReader(VOCABULARY, THINK, "think")
    halves = VOCABULARY.encode("🎉")
    assert len(halves) == 2
    assert reader.feed([97]) == Chunk("a", 1, (97,), (0,))
    assert reader.feed(halves[:1]) is None
    assert reader.feed(halves[1:]) == Chunk("🎉", 2, tuple(halves), (0, 0))


def test_broken_bytes_become_the_replacement_character() -> None:
    assert read([0xF0, 97], [])[0] == "\ufffda"
    assert read([0xF0, VOCABULARY.special["<|e|>"]], [])[0] == "\ufffd"


def test_a_limit_in_the_middle_of_a_character_keeps_none_of_it() -> None:
    assert read([97, 0xF0], []) == ("a", [97], [0], "length")
    # Nor the whole character that begins the same token: its text would be final, its token not.
    split = VOCABULARY.pieces.index(b"a\xc3")
    assert read([98, split], [1, 1]) == ("b", [98], [0], "length")
    assert read([98, split, 0xA9], [1, 1, 1]) == ("baé", [98, split, 0xA9], [0, 1, 1], "length")


def test_a_mark_that_a_limit_splits_is_left_for_the_next_request() -> None:
    def limited(tokens: list[int]) -> Chunk:
        reader = TokenReader(VOCABULARY, THINK, "think", more=True)
        chunks = [chunk for token in tokens if (chunk := reader.feed([token])) is not None]
        chunks.append(reader.finish("length"))
        text, ids = "".join(chunk.text for chunk in chunks), [i for chunk in chunks for i in chunk.ids or ()]
        return Chunk(text, len(ids), tuple(ids), finish=chunks[-1].finish)

    assert limited([97, 10]) == Chunk("a", 1, (97,), finish="length")
    assert limited([97, 98]) == Chunk("ab", 2, (97, 98), finish="length")
    # One that began before has gone out with its token: the text must follow.
    dot = VOCABULARY.pieces.index(b".\n")
    assert limited([97, dot]) == Chunk("a.\n", 2, (97, dot), finish="length")


def test_control_tokens_never_enter_the_text() -> None:
    stray = VOCABULARY.special["<|channel|>"]
    text, ids, _, finish = read([97, stray, 98, VOCABULARY.special["<|e|>"], 99], [1] * 5)
    assert (text, finish) == ("ab", "end_of_turn")
    assert ids == [97, stray, 98, VOCABULARY.special["<|e|>"]]
    # The mark of the thinking is no mark in the answer.
    assert read([97, MARK, 98], [], "answer")[0] == "ab"


def test_channels_end_by_their_own_mark() -> None:
    end = VOCABULARY.special["<|end|>"]
    assert read([97, end], [], format=CHANNEL)[3] == "end_of_thinking"
    assert read([97, end], [], "answer", CHANNEL)[3] == "end_of_turn"
    assert TokenReader(VOCABULARY, CHANNEL, "answer").stops == {end}


def test_log_probabilities_stay_with_their_tokens() -> None:
    from tessy.types import TokenLogprob

    reader = TokenReader(VOCABULARY, THINK, "think")
    entries = [TokenLogprob(-float(i)) for i in range(4)]
    assert reader.feed([97, 10], entries[:2]).logprobs == (entries[0],)
    chunk = reader.feed([98, MARK], entries[2:])
    assert chunk.text == "\nb"
    assert chunk.logprobs == tuple(entries[1:])


@pytest.mark.parametrize("phase", ["think", "answer"])
def test_what_follows_the_end_is_ignored(phase: str) -> None:
    reader = TokenReader(VOCABULARY, THINK, phase)  # type: ignore[arg-type]
    assert reader.feed([VOCABULARY.special["<|e|>"], 97]).finish == "end_of_turn"
    assert reader.feed([97]) is None
