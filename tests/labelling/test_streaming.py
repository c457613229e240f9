from __future__ import annotations

import pytest

from helpers import WordDetector
from tessy.abc import Options
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.errors import PluginError
from tessy.labelling.streaming import label_texts, style_spans
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
