from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import WordDetector
from tessy.abc import Options
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.errors import PluginError
from tessy.labelling.segments import check_spans
from tessy.labelling.streaming import detecting, label_texts, style_spans
from tessy.plugins import Registry
from tessy.seam import place
from tessy.types import Label

TEXT = "Hmm, wait.\n\nc1 c2 so let me see c3"


def detection(detector: WordDetector | None = None) -> Detection:
    return Detection(detector or WordDetector(Options()), Origin("style detector", "words", "tests"))


async def test_spans_of_many_texts_in_order() -> None:
    texts = [(TEXT, "teacher"), ("", "student"), (" \n ", "student"), ("so", "teacher")] * 50
    found = [spans async for spans in label_texts(detection(), texts)]
    pieces = [[text[a:b] for a, b in spans] for (text, _), spans in zip(texts, found, strict=True)]
    assert pieces == [["Hmm, wait.", "so let me see"], [], [], ["so"]] * 50


async def test_a_long_text_and_a_long_word() -> None:
    text = " ".join([*["c1 so"] * 4000, "x" * 20_000])
    (spans,) = [spans async for spans in label_texts(detection(), [(text, "teacher")])]
    assert len(spans) == 4000
    assert text[slice(*spans[-1])] == "so " + "x" * 20_000


async def test_a_detector_that_fails_is_named() -> None:
    class Broken(WordDetector):
        async def label(self, windows: object) -> list[list[Label]]:
            raise ZeroDivisionError("oh")

    with pytest.raises(ExceptionGroup) as caught:
        _ = [spans async for spans in label_texts(detection(Broken(Options())), [(TEXT, "teacher")])]
    (error,) = caught.value.exceptions
    assert isinstance(error, PluginError)
    assert "'words' (package tests)" in str(error)


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        ([(0, 4, True), (4, 10, True), (10, 34, False)], ((0, 10),)),
        ([(0, 10, True), (10, 12, False), (12, 14, True), (14, 34, False)], ((0, 14),)),
        ([(0, 4, False), (4, 12, True), (12, 34, False)], ((5, 10),)),
        ([(10, 12, True)], ()),
    ],
)
def test_spans_are_trimmed_and_joined(
    labels: list[tuple[int, int, bool]], spans: tuple[tuple[int, int], ...]
) -> None:
    assert style_spans(TEXT, [Label(*label) for label in labels]) == spans


@pytest.mark.parametrize(
    ("text", "parted", "whole"),
    [
        ("so 10\u00a0000 km", "so 10", "so"),
        ("let me see: a\\ b", "let me see: a\\", "let me see:"),
        ("Hmm 👩\u200d👧 yes", "Hmm 👩", "Hmm"),
        ("Hmm e\u0301t yes", "Hmm e", "Hmm"),
        ("so \\frac{1}{2} is", "so \\frac", "so"),
        ("so self.assert_equal is", "so self.", "so"),
        ("Hmm 葛\U000e0100城", "Hmm 葛", "Hmm"),
        ("Hmm, (so", "Hmm, (", "Hmm,"),
        ("3.14", "3.", None),
    ],
)
def test_spans_never_part_what_a_seam_holds_together(text: str, parted: str, whole: str | None) -> None:
    n = len(parted)
    spans = style_spans(text, [Label(0, n, True), Label(n, len(text), False)])
    assert [text[a:b] for a, b in spans] == ([] if whole is None else [whole])
    # The other way round: what a seam holds together goes to the one who began later.
    (span,) = style_spans(text, [Label(0, n, False), Label(n, len(text), True)])
    assert text[slice(*span)] == text[len(whole or "") :].strip()


@given(st.text(alphabet="so x.等た\u0301\u00a0\n(\\👩\u200d", max_size=40), st.randoms(use_true_random=False))
def test_spans_keep_their_form_whatever_the_labels(text: str, rng: Random) -> None:
    edges = [0, *sorted(rng.randrange(len(text) + 1) for _ in range(6)), len(text)]
    labels = [Label(a, b, n % 2 == 0) for n, (a, b) in enumerate(pairwise(edges)) if a < b]
    spans = style_spans(text, labels)
    check_spans(text, spans)
    for start, end in spans:
        assert text[start:end] == text[start:end].strip()
        for at in (start, end):
            at += len(text[at:]) - len(text[at:].lstrip()) if at == end else 0
            assert at in (0, len(text)) or place(text, at) >= len(text[:at].rstrip())


# What no cut may part, told without `tessy.seam`: commands, identifiers, numbers, graphemes.
ATOMS = re.compile(
    r"\\[A-Za-z]+|\\.|[A-Za-z_][A-Za-z0-9_.]*[A-Za-z0-9_]|\d[\d.,\u00a0]*\d"
    r"|.(?:[\u0300-\u036f\ufe0f\U000e0100]|\u200d.)+|🇩🇪"
)
PARTS = [
    *"So Wait, but the answer is I need to for example, 3.14 1,000.5 snake_case obj.attr f(x) don't".split(),
    *"\\frac{a}{b} \\alpha $x^2$ `code so` e\u0301te\u0301 👩\u200d👩\u200d👧 ✔\ufe0f".split(),
    *"| a | b | ```py\n ``` - # // **Check:** 2. 🇩🇪 葛\U000e0100城 等等， 所以三角形 x等于2".split(),
    *("10\u00a0000", "a\\ b", "```\n"),
]


@pytest.mark.parametrize("spec", ["boundary", "boundary?look=0", "boundary?look=4", "lexicon"])
async def test_spans_of_real_detectors_part_no_atom(spec: str) -> None:
    rng, spaces = Random(1), ("", " ", " ", " ", "\n", "\n\n")
    texts = ["".join(rng.choice(PARTS) + rng.choice(spaces) for _ in range(60)) for _ in range(120)]
    async with detecting(spec, Registry.discover()) as running:
        found = [spans async for spans in label_texts(running, [(text, "teacher") for text in texts])]
    edges = 0
    for text, spans in zip(texts, found, strict=True):
        atoms = [atom.span() for atom in ATOMS.finditer(text)]
        for edge in (edge for span in spans for edge in span):
            edges += 1
            parted = [text[a:b] for a, b in atoms if a < edge < b]
            assert not parted, (parted, text[max(0, edge - 20) : edge], text[edge : edge + 20])
    assert edges > 500
