from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

import tiny
from conftest import Start
from tessy import Chunk, Draft, Label, Turn, Window
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.track import Track
from tessy_hf_boundary.detector import HfBoundaryDetector

KINDS = [
    ("next", {}),
    ("next", {"cache": 0}),
    ("next", {"window": 24}),
    ("own", {"shift": 0}),
    ("bert", {"shift": 0}),
    ("bert", {"shift": 0, "lookahead": 20, "window": 32}),
    ("bert", {"shift": 1}),
]
ODD = (
    "x" * 150,
    "等等" * 40,
    "3.14",
    "10\u00a0000",
    "\\frac{a}{b}",
    "snake_case",
    "`f(x)`",
    "...\n\n\n\n\n",
    "e\u0301a",
    "所以，三角形相似。",
    "(不对)\n",
    "第10\u00a0000个_x，",
    "\r\n",
    " " * 70,
    "👩‍👩‍👧",
    "<|end|>",
    "\t\t}\n",
    "、、、",
    "か\u3099くに",
)


def detection(detector: HfBoundaryDetector) -> Detection:
    return Detection(detector, Origin("style detector", "hf-boundary", "tessy-hf-boundary"))


def odd(seed: int, count: int = 60) -> str:
    rng = random.Random(seed)
    talk = [part for part, _ in tiny.spans(rng, count // 2)]
    return "".join(rng.choice((rng.choice(ODD), *talk)) + rng.choice(("", " ", "\n")) for _ in range(count))


async def write(track: Track, text: str, cuts: Sequence[int] = (), author: str = "teacher") -> Draft:
    draft = Draft(Turn(author))
    edges = [0, *sorted(cuts), len(text)]
    for i, (start, end) in enumerate(pairwise(edges)):
        draft.extend(Chunk(text[start:end], finish="stop" if i == len(edges) - 2 else None))
        await track.extend(draft)
    return draft


def flat(labels: Sequence[Label]) -> list[tuple[bool, float]]:
    return [(label.style, label.p) for label in labels for _ in range(label.start, label.end)]


def same(one: Sequence[Label], other: Sequence[Label]) -> None:
    """Equal but for what the order of sums does to the probabilities."""
    first, second = flat(one), flat(other)
    assert [style for style, _ in first] == [style for style, _ in second]
    assert [p for _, p in first] == pytest.approx([p for _, p in second], abs=1e-3)


@pytest.mark.parametrize(("model", "options"), KINDS[:6])
async def test_it_tells_talk_from_sums(start: Start, model: str, options: dict[str, int]) -> None:
    text, truth = tiny.text(10_001, 60)
    draft = await write(detection(await start(model, **options)).track("t"), text)
    found = [style for style, _ in flat(draft.labels)]
    right = sum(a == b for a, b in zip(found, truth, strict=True)) / len(truth)
    assert right > 0.97


@pytest.mark.parametrize(("model", "options"), KINDS)
async def test_labels_do_not_depend_on_chunks(start: Start, model: str, options: dict[str, int]) -> None:
    service = detection(await start(model, **options))
    for seed in range(12):
        rng = random.Random(seed)
        text = odd(seed) if seed % 2 else tiny.text(seed, 40)[0]
        whole = await write(service.track(f"whole {seed}"), text)
        count = rng.choice((3, 20, 100))
        cuts = [rng.randrange(len(text) + 1) for _ in range(count)]
        pieces = await write(service.track(f"pieces {seed}"), text, cuts)
        assert whole.settled == pieces.settled == len(text)
        same(whole.labels, pieces.labels)


async def test_labels_of_single_characters(start: Start) -> None:
    service = detection(await start())
    text = tiny.text(3, 25)[0][:600] + odd(3, 20)[:300]
    whole = await write(service.track("whole"), text)
    single = await write(service.track("single"), text, range(1, len(text)))
    same(whole.labels, single.labels)


async def test_a_thousand_random_chunkings_give_the_same_labels(start: Start) -> None:
    service = detection(await start())
    rng = random.Random(0)
    for seed in range(40):
        text = (odd(seed, 25) if seed % 2 else tiny.text(seed, 12)[0])[: rng.choice((60, 200, 900))]
        whole = await write(service.track("whole"), text)
        ways = [rng.sample(range(len(text)), min(len(text), rng.choice((1, 4, 20)))) for _ in range(25)]
        # All at once: the batch that a window finds itself in must not matter either.
        drafts = await asyncio.gather(
            *(write(service.track(f"{seed}/{n}"), text, cuts) for n, cuts in enumerate(ways))
        )
        for draft in drafts:
            assert draft.settled == len(text)
            same(whole.labels, draft.labels)


@pytest.mark.parametrize(("model", "options"), KINDS)
async def test_labels_never_change_once_given(start: Start, model: str, options: dict[str, int]) -> None:
    detector = await start(model, **options)
    for seed in range(6):
        text = odd(seed, 25)
        (whole,) = await detector.label([Window("whole", "teacher", 0, text, 0, final=True)])
        expected = flat(whole)
        assert len(expected) == len(text)
        rng = random.Random(seed)
        for i in range(12):
            length = rng.randrange(len(text))
            (part,) = await detector.label([Window(f"{i}", "teacher", 0, text[:length], 0)])
            labels = flat(part)
            assert [s for s, _ in labels] == [s for s, _ in expected[: len(labels)]]


@pytest.mark.parametrize("options", [{}, {"shift": 0}])
async def test_labels_change_at_words_only(start: Start, options: dict[str, int]) -> None:
    # Almost any threshold makes noise of the labels.
    text = odd(5, 200)
    detector = await start("own", threshold=0.01, **options)
    (labels,) = await detector.label([Window("t", "teacher", 0, text, 0, final=True)])
    for label in labels[1:]:
        left, right = text[label.start - 1], text[label.start]
        assert right.isspace() or left.isspace() or not (left.isascii() and right.isascii())
        assert left != "\u00a0"
        assert right not in "\u00a0\u0301\u3099\u200d_"
    assert len(labels) > 100


async def test_the_next_words_label_is_known_before_the_word(start: Start) -> None:
    detector = await start()
    assert detector.lookahead == 0
    (labels,) = await detector.label([Window("t", "teacher", 0, "Okay, hmm: 12 + 3 = 15. W", 0)])
    assert labels[-1].end == 25
    assert labels[-1].style
    (labels,) = await detector.label([Window("t", "teacher", 0, "Okay, hmm: ", 0)])
    assert not labels[-1].style


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "x", "，", " " * 1000, "so " + "x" * 4000 + " 1 + 1", "so " + "等" * 4000]
)
@pytest.mark.parametrize(("model", "options"), KINDS)
async def test_blank_and_boundless_texts(
    start: Start, model: str, options: dict[str, int], text: str
) -> None:
    service = detection(await start(model, **options))
    draft = await write(service.track("t"), text, range(0, len(text), 7))
    assert draft.settled == len(text)
    same((await write(service.track("whole"), text)).labels, draft.labels)


async def test_threshold(start: Start) -> None:
    text = tiny.text(1, 4)[0]
    for threshold, style in ((1e-6, True), (1 - 1e-9, False)):
        detector = await start(threshold=threshold)
        (labels,) = await detector.label([Window("t", "teacher", 0, text, 10, final=True)])
        assert {label.style for label in labels} == {style}
        assert labels[0].start == 10
