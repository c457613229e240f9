"""Going on from kept keys and values is the same as computing the window anew, and less work."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import tiny
from conftest import Start
from tessy import Window
from tessy_hf_boundary.classifier import Classifier, Row
from tessy_hf_boundary.lines import Line, LineKey, Lines
from tessy_hf_boundary.options import HfBoundaryOptions
from tessy_hf_boundary.source import locate
from test_labels import detection, flat, odd, same, write


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """How many tokens every row of every forward pass had."""
    passes: list[list[int]] = []
    run = Classifier.run

    def counted(self: Classifier, rows: list[Row], *, keep: bool = False) -> None:
        passes.append([len(row.ids) for row in rows])
        run(self, rows, keep=keep)

    monkeypatch.setattr(Classifier, "run", counted)
    return passes


def test_a_padded_batch_that_goes_on_equals_the_whole(folders: Callable[[str], Path]) -> None:
    classifier = Classifier(locate(str(folders("next"))), HfBoundaryOptions(device="cpu"))
    assert classifier.causal
    assert classifier.incremental
    rng = random.Random(1)
    texts = [[rng.randrange(300) for _ in range(rng.randint(30, 200))] for _ in range(9)]
    got: list[list[float]] = [[] for _ in texts]
    past: list[torch.Tensor | None] = [None] * len(texts)
    while any(len(p) < len(text) for p, text in zip(got, texts, strict=True)):
        rows = {
            i: Row(text[len(got[i]) : len(got[i]) + rng.randint(1, 40)], past[i])
            for i, text in enumerate(texts)
            if len(got[i]) < len(text)
        }
        classifier.run(list(rows.values()), keep=True)
        for i, row in rows.items():
            got[i] += row.probabilities or []
            past[i] = row.past
    for text, found in zip(texts, got, strict=True):
        whole = Row(text)
        classifier.run([whole])
        assert found == pytest.approx(whole.probabilities, abs=1e-5)


async def test_any_history_gives_what_computing_anew_gives(start: Start) -> None:
    kept, anew = await start(), await start(cache=0)
    for seed in range(8):
        rng = random.Random(seed)
        text = tiny.text(seed, 30)[0] + odd(seed, 40)
        for _ in range(25):  # grows, shrinks, changes, moves its anchor
            if rng.random() < 0.2:
                at = rng.randrange(len(text))
                text = text[:at] + tiny.text(rng.randrange(99), 10)[0] + text[at:]
            anchor = rng.choice((0, 0, 0, 512))
            shown = text[anchor : rng.randrange(anchor + 1, len(text))]
            new = rng.randrange(len(shown) + 1)
            window = Window("t", rng.choice(("student", "teacher")), anchor, shown, new, rng.random() < 0.2)
            (one,), (other,) = await kept.label([window]), await anew.label([window])
            shift = -window.new_from
            same(
                [type(x)(x.start + shift, x.end + shift, x.style, x.p) for x in one],
                [type(x)(x.start + shift, x.end + shift, x.style, x.p) for x in other],
            )


async def test_each_token_is_computed_once(start: Start, computed: list[list[int]]) -> None:
    detector = await start()
    text = tiny.text(1, 15)[0]
    await detector.label([Window("whole", "teacher", 0, text, 0)])
    whole = sum(map(sum, computed[-1:]))
    computed.clear()
    for end in range(len(text) + 1):
        await detector.label([Window("t", "teacher", 0, text[:end], 0)])
    assert sum(map(sum, computed)) == whole
    computed.clear()
    await detector.label([Window("t", "student", 0, text, 0)])  # the same model reads for both
    assert computed == []


async def test_a_dropped_draft_is_rolled_back(start: Start, computed: list[list[int]]) -> None:
    detector = await start()
    before, dropped, text = tiny.text(1, 10)[0], " hmm, wait, so: 1 + 1", " maybe 7: 2 + 2 = 4. now"
    await detector.label([Window("t", "student", 0, before + dropped, 0)])
    computed.clear()
    (after,) = await detector.label([Window("t", "teacher", 0, before + text, 0)])
    assert sum(map(sum, computed)) < 30
    (fresh,) = await detector.label([Window("fresh", "teacher", 0, before + text, 0)])
    same(after, fresh)


async def test_work_per_word_does_not_grow_with_the_trace(start: Start, computed: list[list[int]]) -> None:
    track = detection(await start(window=64)).track("t")
    costs = []
    for seed in range(60):
        computed.clear()
        text = tiny.text(seed, 3)[0] + " "
        await write(track, text, range(0, len(text), 9))
        track.commit(text)
        costs.append(sum(map(sum, computed)))
        assert max((n for rows in computed for n in rows), default=0) <= 64
    early, late = sum(costs[10:30]), sum(costs[40:60])
    assert late < 1.3 * early


async def test_forgetting(start: Start) -> None:
    detector = await start()
    text = tiny.text(1, 5)[0]
    await detector.label([Window(key, "teacher", 0, text, 0) for key in ("a", "b")])
    assert detector._worker is not None
    lines = detector._worker.lines
    assert len(lines) == 2
    detector.forget("a")
    await detector.label([])
    assert len(lines) == 1
    detector.forget("b")
    await detector.label([])
    assert (len(lines), lines.size) == (0, 0)


async def test_memory_is_bounded_and_nothing_depends_on_it(start: Start) -> None:
    small, large = await start(cache=1), await start()
    text = tiny.text(1, 40)[0]
    for end in range(0, len(text), 200):
        windows = [Window(f"{i}", "teacher", 0, text[i:end], 0) for i in range(16)]
        for one, other in zip(await small.label(windows), await large.label(windows), strict=True):
            same(one, other)
    assert small._worker is not None
    assert 0 < len(small._worker.lines) < 16
    assert small._worker.lines.size <= 1 << 20


async def test_two_windows_of_one_trajectory_in_a_batch(start: Start) -> None:
    detector = await start()
    texts = [tiny.text(1, 6)[0], tiny.text(1, 9)[0], tiny.text(2, 4)[0]]
    batch = await detector.label([Window("t", "teacher", 0, text, 0) for text in texts])
    for text, labels in zip(texts, batch, strict=True):
        (alone,) = await detector.label([Window("other", "teacher", 0, text, 0)])
        assert flat(labels)
        same(labels, alone)


def test_lines_drop_the_least_recently_used() -> None:
    lines = Lines(100)
    keys = [LineKey(name, 0, 0, 0) for name in "abc"]
    for key in (*keys[:2], keys[0], keys[2]):
        line = lines.get(key)
        if not line.ids:
            line.add([1, 2, 3], [0.5] * 3, None)
        lines.put(key, line)
    assert [bool(lines.get(key).ids) for key in keys] == [True, False, True]
    assert lines.size == 96


def test_a_line_goes_back_to_where_texts_differ() -> None:
    line = Line([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4], torch.zeros(1, 2, 1, 4, 8))
    line.rewind((1, 2))
    assert line.ids == [1, 2, 3, 4]
    line.rewind((1, 2, 9))
    assert (line.ids, line.probabilities) == ([1, 2], [0.1, 0.2])
    assert line.past is not None
    assert line.past.shape[3] == 2
    line.rewind((5,))
    assert (line.ids, line.past) == ([], None)
