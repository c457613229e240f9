from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

import tiny
from tessy import Window
from tessy_hf_boundary.encoder import Encoder
from tessy_hf_boundary.reader import Reader
from tessy_hf_boundary.words import LONG, pieces

PARTS = (
    *("Wait,", "it's", "3.14", "x_1", "f(x)", "...", ".\n\n", "\n", "\n\n", "\r\n", "`", "a\n", ")\n", "-"),
    *(
        "等等",
        "，",
        "。\n",
        "所以x等于2。",
        "！！不",
        "(不对)",
        "か",
        "カナ",
        "e\u0301",
        "10\u00a0000",
        "\t",
        "  ",
    ),
)
texts = st.lists(st.sampled_from((*PARTS, *" " * 12)), max_size=40).map("".join)


def cut(text: str, *, final: bool = True) -> list[str]:
    return [text[piece.start : piece.end] for piece in pieces(text, final=final)]


@pytest.mark.parametrize(
    "marked",
    [
        "Wait,| so| 3.14| is",
        "foo|\nbar.\n|  baz|  \n qux",
        "so.\n\n\n|\n\nx",
        "所以x等于2|。等等|，不对|！！不|)\n",
        "x| =| f(不对|)| 10|\u00a0000",
    ],
)
def test_where_pieces_begin(marked: str) -> None:
    assert cut(marked.replace("|", "")) == marked.split("|")


def test_a_long_word_is_several_pieces_of_one_word() -> None:
    found = list(pieces("a " + "x" * 200, final=False))
    assert [(piece.opens, piece.closed) for piece in found] == [
        (True, True),
        (True, True),
        (False, True),
        (False, True),
        (False, False),
    ]
    assert max(piece.end - piece.start for piece in found) == LONG


@settings(deadline=None, max_examples=300)
@given(st.one_of(texts, st.text(max_size=60)), st.data())
def test_closed_pieces_never_change(text: str, data: st.DataObject) -> None:
    whole = list(pieces(text, final=True))
    assert "".join(text[piece.start : piece.end] for piece in whole) == text
    length = data.draw(st.integers(0, len(text)))
    part = list(pieces(text[:length], final=False))
    assert all(piece.closed for piece in part[:-1])
    closed = [(piece.start, piece.end, piece.opens) for piece in part if piece.closed]
    assert closed == [(piece.start, piece.end, piece.opens) for piece in whole[: len(closed)]]


def test_tokens_of_pieces_are_those_of_the_text() -> None:
    made = tiny.tokenizer()
    plain = json.loads(made.to_str()) | {"added_tokens": []}
    encoder, reference = Encoder(made), Tokenizer.from_str(json.dumps(plain))
    for seed in range(300):
        rng = random.Random(seed)
        text = tiny.text(seed, 4)[0] + "".join(rng.choice(PARTS) + rng.choice((" ", "")) for _ in range(30))
        if "\u00a0" in text or max(map(len, cut(text))) == LONG or "\n" * 4 in text:
            continue
        tokens = [token for piece in cut(text) for token in encoder.encode(piece).ids]
        assert tokens == reference.encode(text).ids


def test_control_tokens_of_the_model_are_plain_text_here() -> None:
    encoder = Encoder(tiny.tokenizer())
    assert len(encoder.encode("<|end|>").ids) > 1
    assert 0 not in encoder.encode("<|end|>").ids


@pytest.mark.parametrize("ahead", [None, 20])
def test_special_tokens_stand_around_what_the_model_sees(ahead: int | None) -> None:
    made = tiny.tokenizer()
    made.post_processor = TemplateProcessing(single="<|end|> $A <|end|>", special_tokens=[("<|end|>", 0)])
    encoder = Encoder(made)
    assert (encoder.prefix, encoder.suffix) == ((0,), (0,))
    reader = Reader(encoder, shift=1, window=16, limit=1000, ahead=ahead)
    text = tiny.text(1, 8)[0]
    reading = reader.read(Window("t", "teacher", 0, text, 0, final=True))
    assert reading.answers[0] == (0, 0)  # the first token says what the first word is
    for asked in reading.asked:
        assert asked.ids[0] == 0
        assert (asked.ids[-1] == 0) is (ahead is not None)
        assert len(asked.ids) <= (18 if ahead is None else 60)
