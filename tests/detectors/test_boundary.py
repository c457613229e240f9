from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.detectors.boundary import BoundaryDetector, BoundaryOptions
from tessy.detectors.boundary.weights import DEFAULT, load, save
from tessy.draft import Draft
from tessy.errors import ConfigError
from tessy.types import Chunk, Label, Turn, Window

LOOKS = (0, 1, 2, 4)
READY = {look: BoundaryDetector(BoundaryOptions(look=look)) for look in LOOKS}
PLAIN = READY[2]


def read(
    text: str,
    new_from: int = 0,
    *,
    final: bool = True,
    anchor: int = 0,
    detector: BoundaryDetector = PLAIN,
) -> list[Label]:
    detector.forget("t")
    return detector.read([Window("t", "teacher", anchor, text, new_from, final)])[0]


def style(text: str, detector: BoundaryDetector = PLAIN) -> list[str]:
    """The stretches of style."""
    stretches, open_at = [], None
    for label in [*read(text, detector=detector), Label(len(text), len(text), False)]:
        if label.style and open_at is None:
            open_at = label.start
        elif not label.style and open_at is not None:
            stretches.append(text[open_at : label.start].strip())
            open_at = None
    return stretches


def flat(labels: list[Label]) -> list[tuple[bool, float]]:
    return [(label.style, label.p) for label in labels for _ in range(label.start, label.end)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Okay, let's see. 34 + 12 = 46.", ["Okay, let's see."]),
        ("34 + 12 = 46. Wait, let me double-check that. 34 + 12 = 46.", ["Wait, let me double-check that."]),
        ("The train covers 120 km in 2 hours. So the speed is 60 km/h.", ["So"]),
        ("Hmm, wait. Maybe I made a mistake. 3 * 7 = 21.", ["Hmm, wait. Maybe I made a mistake."]),
        ("The sum is 12.\n\nAlternatively, 3 * 4 = 12.", ["Alternatively,"]),
    ],
)
def test_plain_cases(text: str, expected: list[str]) -> None:
    assert style(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n \n",
        "x",
        "```python\nso = let(me, think)\n# wait, so we need to check\n```",
        "$So$ $$Then x$$ \\(Now\\) \\[\nThus x\n\\]",
        "| So | Then |\n|---|---|\n| Wait | Hmm |",
        "12345 67890 = 80235",
        "三角形的面积等于底乘以高除以二",
        "a" * 5000,
    ],
)
def test_what_is_no_style(text: str) -> None:
    for detector in READY.values():
        labels = read(text, detector=detector)
        assert not any(label.style for label in labels)
        assert sum(label.end - label.start for label in labels) == len(text)


def test_a_whole_draft_of_style() -> None:
    text = "Hmm, wait. Let me think about this again."
    assert style(text) == [text]


def test_chinese_markers_are_style() -> None:
    assert style("首先，三角形相似。等等，不对。答案是三") == ["首先，", "等等，不对。"]


def test_labels_change_at_words_only() -> None:
    text = babble(7, 400)
    for label in read(text)[1:]:
        assert text[label.start].isspace() or not text[label.start - 1 : label.start + 1].isascii()


def test_the_beginning_of_a_label_may_lie_inside_a_word() -> None:
    text = "So we need to compute 34 + 12."
    assert read(text, 4)[0].start == 4
    assert flat(read(text, 4)) == flat(read(text))[4:]


def test_the_lookahead_is_small_and_declared() -> None:
    assert [detector.lookahead for detector in READY.values()] == [0, 12, 24, 48]
    assert BoundaryDetector(BoundaryOptions()).lookahead == 24


def test_a_word_is_decided_when_the_next_words_are_known() -> None:
    text = "34 + 12 = 46. Wait, let me check"
    ends = [read(text, final=False, detector=detector)[-1].end for detector in READY.values()]
    assert ends == [text.index(" check"), text.index(" me"), text.index(" let"), text.index(" 46.")]


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValidationError):
        BoundaryOptions.model_validate({"look": 3})
    with pytest.raises(ValidationError):
        BoundaryOptions.model_validate({"threshold": 1})


def test_help_and_construction_load_no_numpy() -> None:
    code = (
        "import sys; from tessy.detectors.boundary import *; BoundaryDetector(BoundaryOptions());"
        "sys.exit('numpy' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- streaming ---------------------------------------------------------------------------------------

WORDS = [
    *"So Wait, but the question answer is I need to for example, this means maybe x 34 = - * let".split(),
    *"me see. right? e.g. Step 2: check: **Analyze **Final Check:** interpretation 1,000.5 the".split(),
    *"` ``` $x$ $ $5 “so” | # // So \\( \\) \\frac{1}{2} self.assertEqual(a, `code` https://a.org/b?so".split(),
    *"等等， 所以 三角形。 x等于 比如 说 让我检查一下 首先".split(),
    *("```\n", '"quoted"', '"', "y" * 40),
]
SPACES = (" ", " ", " ", " ", "  ", "\n", "\n\n", ". ", "? ", "", " " * 30, " \n ", "\u00a0")


def babble(seed: int, length: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(length))


texts = st.builds(babble, st.integers(0, 10**6), st.integers(0, 80)) | st.text(max_size=60)
looks = st.sampled_from(LOOKS)


def detection(detector: BoundaryDetector) -> Detection:
    return Detection(detector, Origin("style detector", "boundary"))


async def stream(batches: Detection, text: str, cuts: list[int], key: str = "t") -> Draft:
    track = batches.track(key)
    draft = Draft(Turn("teacher"))
    for start, end in pairwise([0, *sorted(cuts), len(text)]):
        draft.extend(Chunk(text[start:end], finish="stop" if end == len(text) else None))
        await track.extend(draft)
    track.close()
    assert draft.settled == len(text)
    return draft


async def test_a_thousand_random_chunkings_give_the_same_labels() -> None:
    rng = random.Random(0)
    for n in range(40):
        text = babble(n, rng.choice((5, 60, 500))).rstrip() + "."
        detector = READY[rng.choice(LOOKS)]
        whole = await stream(detection(detector), text, [])
        # Side by side, as trajectories are: then they share batches.
        batches = detection(detector)
        chunkings = [
            rng.sample(range(1, len(text)), min(len(text) - 1, rng.choice((1, 5, 50, 150))))
            for _ in range(25)
        ]
        for draft in await asyncio.gather(
            *(stream(batches, text, cuts, f"t{i}") for i, cuts in enumerate(chunkings))
        ):
            assert draft.labels == whole.labels


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    "part", ["x", "等", "等等", " ", "\n", "`", "` so ", "$x", '"so ', "```\nwait\n", "e\u0301", "|a"]
)
async def test_a_text_without_end_is_read_the_same_in_any_pieces(part: str, look: int) -> None:
    text = "So we need " + part * (4000 // len(part)) + " Wait, 34 + 12 = 46."
    batches = detection(READY[look])
    whole = await stream(batches, text, [])
    for step in (7, 600):
        assert (await stream(batches, text, list(range(step, len(text), step)))).labels == whole.labels


@settings(deadline=None, max_examples=200)
@given(texts, looks, st.data())
def test_labels_see_no_further_than_the_lookahead(text: str, look: int, data: st.DataObject) -> None:
    detector = READY[look]
    whole = flat(read(text, final=False, detector=detector))
    length = data.draw(st.integers(0, len(text)))
    part = flat(read(text[:length], final=False, detector=detector))
    common = min(len(part), len(whole))
    assert part[:common] == whole[:common]
    if length > detector.lookahead:
        behind = text[: length - detector.lookahead]
        due = re.sub(r"\S+\Z", "", behind).rstrip()
        assert len(part) >= len(due)


@settings(deadline=None, max_examples=200)
@given(texts, looks, st.booleans(), st.sampled_from([0, 512]), st.data())
def test_labels_do_not_depend_on_where_reading_begins(
    text: str, look: int, final: bool, anchor: int, data: st.DataObject
) -> None:
    whole = flat(read(text, final=final, anchor=anchor, detector=READY[look]))
    new_from = data.draw(st.integers(0, len(text)))
    assert (
        flat(read(text, new_from, final=final, anchor=anchor, detector=READY[look]))[: len(text)]
        == whole[new_from:]
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(texts, min_size=1, max_size=8), looks)
def test_labels_do_not_depend_on_the_batch(batch: list[str], look: int) -> None:
    detector = READY[look]
    alone = [read(text, detector=detector) for text in batch]
    windows = [Window(str(i % 3), "teacher", 0, text, 0, True) for i, text in enumerate(batch)]
    assert detector.read(windows) == alone


@settings(deadline=None, max_examples=100)
@given(texts, looks, st.data())
def test_a_guess_does_not_depend_on_what_was_asked_before(text: str, look: int, data: st.DataObject) -> None:
    """Who guesses at every step is answered by the way; who reads anew and guesses once is not."""
    detector = READY[look]
    at = end = 0
    while end < len(text):
        end = data.draw(st.integers(end + 1, min(len(text), end + 9)))
        window = Window("again", "teacher", 0, text[:end], at)
        (labels,) = detector.read([window])
        at = labels[-1].end if labels else at
        rest = replace(window, new_from=at)
        if data.draw(st.integers(0, 3)):
            fresh = replace(window, key="fresh", new_from=0)
            assert flat(detector.read([fresh])[0])[window.new_from :] == flat(labels)
            assert detector.guess(rest) == detector.guess(replace(rest, key="fresh"))
            detector.forget("fresh")
    detector.forget("again")


def test_a_rollback_is_noticed() -> None:
    detector = BoundaryDetector(BoundaryOptions())
    first = "34 + 12 = 46. Wait, let me check that again. "
    second = "34 + 12 = 46. The cost is 3 dollars and "
    whole = read(second, final=False)
    detector.read([Window("t", "teacher", 0, first, 0)])
    assert detector.read([Window("t", "student", 0, second, 0)])[0] == whole
    begun = detector.read([Window("u", "teacher", 0, first, 0)])[0]
    at = begun[-1].end
    again = detector.read([Window("u", "student", 0, first[:at] + " 3 dollars and 4 ", at)])[0]
    assert flat(again) == flat(read(first[:at] + " 3 dollars and 4 ", final=False))[at:]


def test_many_trajectories_leave_little_behind() -> None:
    detector = BoundaryDetector(BoundaryOptions())
    for n in range(5000):
        detector.read([Window(str(n), "teacher", 0, f"So the answer {n} is not known yet", 0)])
    assert len(detector._readings) <= 4096
    assert detector._slots <= 8192
    for n in range(5000):
        detector.forget(str(n))
    assert not detector._readings
    assert len(detector._free) == detector._slots - 1, "one is kept in which nothing is read"


def test_forgotten_words_do_not_change_labels() -> None:
    detector = BoundaryDetector(BoundaryOptions())
    text = "So we need to compute 34 + 12. Wait, let me check"
    before = detector.read([Window("t", "teacher", 0, text, 0)])[0]
    for n in range(30):
        words = " ".join(f"w{n}x{i}" for i in range(1000))
        detector.read([Window("u", "teacher", 0, words, 0, True)])
    assert detector.read([Window("t", "teacher", 0, text, 0)])[0] == before


# --- weights -----------------------------------------------------------------------------------------


def test_the_shipped_weights_are_small() -> None:
    assert sum(file.stat().st_size for file in DEFAULT.iterdir()) <= 5_000_000


def test_a_folder_of_weights_is_loaded(tmp_path: Path) -> None:
    save(load(DEFAULT), tmp_path / "w")
    detector = BoundaryDetector(BoundaryOptions(), model=str(tmp_path / "w"))
    text = babble(3, 100)
    assert read(text, detector=detector) == read(text)
    assert detector.identity() == PLAIN.identity()


@pytest.mark.parametrize(
    "damage",
    [
        "missing",
        "no config",
        "no arrays",
        "format",
        "cut off",
        "shape",
        "pickle",
        "sizes",
        "hold",
        "list",
        "look",
    ],
)
async def test_a_bad_folder_is_named(tmp_path: Path, damage: str) -> None:
    import numpy as np

    folder = tmp_path / "weights-of-mine"
    save(load(DEFAULT), folder)
    config, arrays = folder / "config.json", folder / "weights.npz"
    if damage == "missing":
        folder = tmp_path / "weights-of-mine-2"
    elif damage == "no config":
        config.unlink()
    elif damage == "no arrays":
        arrays.unlink()
    elif damage == "format":
        config.write_text(json.dumps({**json.loads(config.read_text()), "format": 99}))
    elif damage == "cut off":
        arrays.write_bytes(arrays.read_bytes()[:1000])
    elif damage in ("sizes", "hold", "list", "look"):
        document = json.loads(config.read_text())
        wrong = {"sizes": {"width": "96"}, "hold": {"hold": [1]}, "look": {"looks": [0, 1, 3, 4]}}
        document["shape"] |= wrong.get(damage, {})
        config.write_text(json.dumps([document] if damage == "list" else document))
    elif damage == "shape":
        np.savez(arrays, **{**load(folder).arrays, "output": np.zeros(3, np.int8)})
    else:
        np.savez(arrays, **{**load(folder).arrays, "output": np.array([{}], object)})
    detector = BoundaryDetector(BoundaryOptions(), model=str(folder))
    with pytest.raises(ConfigError, match=re.escape(str(folder))):
        await detector.start()


# --- training ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_training_learns_from_segments(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tessy.detectors.boundary.train import predict, train
    from tessy.labelling.segments import Segment

    rng = random.Random(0)
    segments = []
    for n in range(96):
        text, spans = "", []
        for _ in range(6):
            if rng.random() < 0.5:
                spans.append((len(text), len(text) + 8))
                text += "blip blop "[:9]
            text += " ".join(rng.choice(["x", "34", "tree", "+"]) for _ in range(rng.randint(2, 5))) + ". "
        segments.append(Segment(str(n), text, tuple(spans)))
    lines: list[str] = []
    notes = train(segments[:64], tmp_path / "w", dev=segments[64:], epochs=30, base=None, log=lines.append)
    assert notes["dev"]["f1"] > 0.95
    assert len(lines) > 30
    assert len(predict(segments[64:], tmp_path / "w")) == 32
    assert json.loads((tmp_path / "w" / "config.json").read_text())["notes"]["segments"] == 64
