from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.draft import Draft
from tessy.types import Chunk, Label, Turn, Window

PLAIN = LexiconDetector(LexiconOptions())


def read(
    text: str, new_from: int = 0, *, final: bool = True, detector: LexiconDetector = PLAIN
) -> list[Label]:
    return detector.read(Window("t", "teacher", 0, text, new_from, final))


def mark(text: str, detector: LexiconDetector = PLAIN) -> str:
    """Style in brackets, the space before it inside them."""
    return "".join(
        f"⟦{text[label.start : label.end]}⟧" if label.style else text[label.start : label.end]
        for label in read(text, detector=detector)
    )


def unmark(marked: str) -> str:
    return re.sub("[⟦⟧]", "", marked)


@pytest.mark.parametrize(
    "marked",
    [
        "⟦Hmm, wait.⟧ 34 + 12 = 46.",
        "⟦Okay, let's see. First, I need to compute⟧ 34 + 12.⟦ Hmm,⟧ 34 + 12 = 46.",
        "34 + 12 = 46.⟦ Wait, let me double-check that.⟧ 34 + 12 = 46.",
        "34 + 12 = 46.⟦ Yes, that's right. So⟧ the answer is 39.",
        "⟦First,⟧ 34 + 12 = 46.⟦ Then⟧ 46 - 7 = 39.⟦ So⟧ the result is 39.",
        "34 + 12 = 45.⟦\n\nOh wait, I made a mistake.⟧ 34 + 12 = 46.⟦ Good, that checks out.⟧",
        "⟦So we have⟧ x = 2, so y = 4 because x is even.",
        "⟦But maybe⟧ triangles are similar.⟦ This means that⟧ angles agree.",
        "⟦For example,⟧ beta inherits from alpha.⟦\n\nAlternatively, I could⟧ merge both trees.",
        "⟦Step 2:⟧ multiply by seven.⟦\nCheck:⟧ 7 * 6 = 42.",
        "Case x < 0: nothing happens.\nTotal cost: 40 dollars.",
        "- ⟦First,⟧ sort numbers\n- second item",
        "⟦We need to⟧ parse JSON, e.g. Then-clauses.",
        "Sum is 4, ⟦so maybe⟧ parity matters.".replace(", ⟦", ",⟦ "),
    ],
)
def test_style_is_found(marked: str) -> None:
    expected = re.sub(r"(\s+)⟦", r"⟦\1", marked)
    assert mark(unmark(marked)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n",
        "x",
        "```python\nWait, so = let(me, think)\n# So we need to check\n```",
        "`So, wait`",
        "$So$ $$Then x$$ \\(Now\\) \\[\nThus x\n\\]",
        'Tom wrote "Okay. So I think that we should wait."',
        "Tom wrote “Okay. So I think.”",
        "| So | Then |\n| Wait | Hmm |",
        "total = 3  # So we need to wait. Then check",
        "12345 67890",
    ],
)
def test_what_is_never_style(text: str) -> None:
    assert not any(label.style for label in read(text))


def test_style_goes_on_after_code() -> None:
    assert mark("```py\nx = 1\n```\nSo, 3") == "```py\nx = 1\n```⟦\nSo,⟧ 3"


def test_a_fence_that_opened_left_of_the_window_closes() -> None:
    text = "then = 3\n```\nWait, 3"
    labels = PLAIN.read(Window("t", "teacher", 512, text, 0, final=True))
    assert labels[-2].style
    assert text[labels[-2].start : labels[-2].end] == "\nWait,"
    assert not any(label.style for label in read(text)[1:])


@pytest.mark.parametrize(
    "marked",
    [
        "⟦首先，⟧三角形相似。⟦所以⟧x等于2。⟦等等，不对。⟧答案是三",
        "x等于2\n\n⟦嗯，让我想想。⟧三",
        "因为所以然来说",
    ],
)
def test_chinese_markers(marked: str) -> None:
    assert mark(unmark(marked)) == re.sub(r"(\s+)⟦", r"⟦\1", marked)


def test_phrases_of_ones_own() -> None:
    mine = LexiconDetector(LexiconOptions(extra_style="mind you, by golly gosh , ,heck"))
    assert mark("It is mind you 3, by golly gosh, 4 heckler heck.", mine) == (
        "It is⟦ mind you⟧ 3,⟦ by golly gosh,⟧ 4 heckler⟦ heck.⟧"
    )
    assert mine.lookahead == max(24, len("by golly gosh") + 4)
    assert (
        LexiconDetector(LexiconOptions(extra_style="one very long phrase that goes on and on")).lookahead
        == 44
    )


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValidationError):
        LexiconOptions.model_validate({"threshold": 1})


def test_it_is_sure_of_a_marker_when_the_next_word_begins() -> None:
    assert [label.style for label in read("34 + 12 = 46. Wait, ", final=False)] == [False, True]


def test_labels_change_at_words_only() -> None:
    text = babble(7, 400)
    for label in read(text)[1:]:
        assert text[label.start].isspace() or not text[label.start - 1 : label.start + 1].isascii()


# --- streaming ---------------------------------------------------------------------------------------

PIECES = (
    *(
        "So",
        "Wait,",
        "but",
        "the",
        "the question",
        "answer is",
        "I",
        "need to",
        "for",
        "example,",
        "this",
        "means",
    ),
    *(
        "maybe",
        "x",
        "34",
        "=",
        "-",
        "*",
        "Step",
        "2:",
        "check:",
        "let",
        "me",
        "see.",
        "right?",
        "e.g.",
        "i.e.",
        "vs.",
    ),
    *(
        "`code`",
        "`",
        "```",
        "```\n",
        "$x$",
        "$",
        "$5",
        '"',
        '"quoted"',
        "“so”",
        "\\(",
        "\\)",
        "# So",
        "// So",
        "|",
    ),
    *(
        "等等，",
        "所以",
        "三角形。",
        "x等于",
        "比如",
        "说",
        "https://example.org/a.b?so",
        "interpretation",
        "y" * 40,
    ),
)
SPACES = (" ", " ", " ", " ", "  ", "\n", "\n\n", ". ", "? ", "", " " * 30, " \n ")


def babble(seed: int, length: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(PIECES) + rng.choice(SPACES) for _ in range(length))


def flat(labels: list[Label]) -> list[bool]:
    return [label.style for label in labels for _ in range(label.start, label.end)]


texts = st.builds(babble, st.integers(0, 10**6), st.integers(0, 60))
detectors = st.sampled_from(
    [PLAIN, LexiconDetector(LexiconOptions(extra_style="x so, the answer is, maybe 34 =, means"))]
)


@settings(deadline=None, max_examples=150)
@given(texts, detectors, st.data())
def test_labels_see_no_further_than_the_lookahead(
    text: str, detector: LexiconDetector, data: st.DataObject
) -> None:
    whole = flat(read(text, final=False, detector=detector))
    length = data.draw(st.integers(0, len(text)))
    part = flat(read(text[:length], final=False, detector=detector))
    common = min(len(part), len(whole))
    assert part[:common] == whole[:common]
    if length - detector.lookahead >= 0:
        behind = text[: length - detector.lookahead].rstrip()
        assert len(part) >= len(behind) - len(behind.split()[-1] if behind else "")


@settings(deadline=None, max_examples=150)
@given(texts, detectors, st.booleans(), st.data())
def test_labels_do_not_depend_on_where_reading_begins(
    text: str, detector: LexiconDetector, final: bool, data: st.DataObject
) -> None:
    whole = flat(read(text, final=final, detector=detector))
    new_from = data.draw(st.integers(0, len(text)))
    assert flat(read(text, new_from, final=final, detector=detector)) == whole[new_from:]


@settings(deadline=None, max_examples=60)
@given(st.builds(babble, st.integers(0, 10**6), st.integers(0, 400)), st.data())
async def test_labels_do_not_depend_on_chunks(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    drafts = []
    for edges in ([0, len(text)], [0, *cuts, len(text)]):
        track = Detection(LexiconDetector(LexiconOptions()), Origin("style detector", "lexicon")).track("t")
        draft = Draft(Turn("teacher"))
        for k in range(1, len(edges)):
            draft.extend(Chunk(text[edges[k - 1] : edges[k]], finish="stop" if k == len(edges) - 1 else None))
            await track.extend(draft)
        assert draft.settled == len(text)
        drafts.append(draft)
    assert drafts[0].labels == drafts[1].labels


@settings(deadline=None)
@given(st.text(max_size=80), st.data())
def test_any_text_is_tiled(text: str, data: st.DataObject) -> None:
    new_from = data.draw(st.integers(0, len(text)))
    labels = read(text, new_from)
    edges = [new_from, *(label.end for label in labels)]
    assert [label.start for label in labels] == edges[:-1]
    assert edges[-1] == len(text)


@settings(deadline=None, max_examples=150)
@given(detectors, st.data())
def test_what_it_remembers_changes_nothing(detector: LexiconDetector, data: st.DataObject) -> None:
    """Text grows, is rolled back and goes on otherwise; labels are those of one who reads it anew."""
    text, at = "", 0
    detector.forget("t")
    for _ in range(data.draw(st.integers(1, 12))):
        kept = data.draw(st.integers(0, len(text)))
        text = text[:kept] + babble(data.draw(st.integers(0, 10**6)), data.draw(st.integers(1, 9)))
        window = Window("t", "teacher", 0, text, min(at, kept), data.draw(st.booleans()))
        labels = asyncio.run(detector.label([window]))[0]
        assert labels == detector.read(window)
        at = labels[-1].end if labels else window.new_from
        # A guess goes on where the labels end, of this text or (the core never asks so) of another.
        for _ in range(data.draw(st.integers(0, 2))):
            begin = data.draw(st.sampled_from([at, window.new_from]))
            anchor = data.draw(st.sampled_from([0, 0, 512]))
            more = data.draw(st.sampled_from(["", "", " x so"]))
            rest = Window("t", "teacher", anchor, text + more, begin, False)
            assert detector.guess(rest) == detector.read(replace(rest, final=True))


def test_a_guess_goes_on_with_a_heading() -> None:
    text = "\n" + " " * 16 + "Case 2:"
    detector = LexiconDetector(LexiconOptions())
    window = Window("t", "teacher", 0, text, 0, False)
    (labels,) = asyncio.run(detector.label([window]))
    assert text[: labels[-1].end].endswith("Case")
    assert [(one.start, one.style) for one in detector.guess(replace(window, new_from=labels[-1].end))] == [
        (labels[-1].end, True)
    ]
