from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import tiny
from conftest import Start
from tessy import Window
from tessy.errors import ConfigError, PluginError
from tessy_hf_boundary.classifier import Classifier, Row
from tessy_hf_boundary.detector import HfBoundaryDetector
from tessy_hf_boundary.options import HfBoundaryOptions
from test_labels import detection, flat, same, write


def styles(labels: object) -> list[bool]:
    return [style for style, _ in flat(labels)]  # type: ignore[arg-type]


class Gate:
    """Holds every forward pass until the test opens it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self.passes: list[int] = []
        run = Classifier.run

        def held(classifier: Classifier, rows: list[Row], *, keep: bool = False) -> None:
            self.passes.append(len(rows))
            self.entered.set()
            assert self.open.wait(30)
            run(classifier, rows, keep=keep)

        monkeypatch.setattr(Classifier, "run", held)

    async def reached(self) -> None:
        await asyncio.to_thread(self.entered.wait, 30)
        self.entered.clear()


async def test_each_author_has_a_model(start: Start) -> None:
    text = tiny.text(5, 20)[0]
    for detector in (
        await start(None, student="next", teacher="inverse"),
        await start("inverse", student="next"),
    ):
        by = {}
        for author in ("student", "teacher"):
            (labels,) = await detector.label([Window("t", author, 0, text, 1, final=True)])
            (mixed,) = (await detector.label([Window("t", a, 0, text, 1) for a in ("teacher", author)]))[1:]
            assert styles(mixed) == styles(labels)[: len(styles(mixed))]
            by[author] = [label.style for label in labels for _ in range(label.start, label.end)]
        different = sum(a != b for a, b in zip(by["student"], by["teacher"], strict=True))
        assert different > 0.95 * len(text)


async def test_an_author_without_a_model_fails_alone(start: Start) -> None:
    service = detection(await start(None, student="next", teacher="next"))
    good, bad = await asyncio.gather(
        write(service.track("a"), "Okay, hmm: 1"),
        write(service.track("b"), "Okay", author="judge"),
        return_exceptions=True,
    )
    assert not isinstance(good, BaseException)
    assert good.settled == 12
    assert isinstance(bad, PluginError)
    assert "'judge'" in str(bad)


async def test_trajectories_share_forward_passes(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = await start()
    texts = [tiny.text(seed, 3)[0] for seed in range(24)]
    alone = [(await detector.label([Window(text, "teacher", 0, text, 0, final=True)]))[0] for text in texts]
    gate = Gate(monkeypatch)
    service = detection(detector)
    tasks = [asyncio.create_task(write(service.track(f"{i}"), text)) for i, text in enumerate(texts)]
    await gate.reached()  # the loop is free while a batch runs
    gate.open.set()
    for draft, labels in zip(await asyncio.gather(*tasks), alone, strict=True):
        same(draft.labels, labels)
    assert max(gate.passes) > 8
    assert len(gate.passes) < len(texts)


async def test_a_cancelled_call_stops_after_its_pass(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = await start(batch=1)
    windows = [Window(f"{i}", "teacher", 0, tiny.text(i, 3)[0], 0) for i in range(6)]
    gate = Gate(monkeypatch)
    task = asyncio.create_task(detector.label(windows))
    await gate.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = asyncio.create_task(detector.label(windows[:2]))
    await asyncio.sleep(0)
    gate.open.set()
    labels = await again
    assert len(gate.passes) <= 3
    same(labels[1], (await detector.label([Window("fresh", "teacher", 0, windows[1].text, 0)]))[0])


async def test_close_waits_for_the_pass_and_ends_the_thread(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = await start()
    gate = Gate(monkeypatch)
    task = asyncio.create_task(detector.label([Window("t", "teacher", 0, "Okay, hmm: 1", 0)]))
    await gate.reached()
    closing = asyncio.create_task(detector.close())
    await asyncio.sleep(0)
    assert not closing.done()
    gate.open.set()
    await closing
    await task
    await detector.close()
    detector.forget("t")
    assert not any(thread.name.startswith("hf-boundary") for thread in threading.enumerate())
    with pytest.raises(RuntimeError, match="not started"):
        await detector.label([])


async def test_identity_names_what_labels_depend_on(
    start: Start, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    one, other = await start(batch=3, cache=7), await start(None, student="next", teacher="inverse")
    found = one.identity()
    assert found == (await start()).identity()
    assert found["dtype"] == "float32"
    assert str(folders("next").parent) not in str(found)
    moved = shutil.copytree(folders("next"), tmp_path / "elsewhere")
    assert HfBoundaryDetector(HfBoundaryOptions(), model=str(moved)).identity()["models"] == found["models"]
    models = other.identity()["models"]
    assert models["student"]["weights"] == found["models"]["all"]["weights"]
    assert models["teacher"]["weights"] != models["student"]["weights"]
    assert found != (await start(threshold=0.4)).identity()


async def test_lookahead_is_declared(start: Start) -> None:
    assert (await start()).lookahead == 0
    assert (await start("own", shift=0)).lookahead == 3
    assert (await start("bert", shift=0)).lookahead == 64
    assert (await start("bert", shift=0, lookahead=20)).lookahead == 20


async def test_bfloat16(start: Start) -> None:
    text, truth = tiny.text(9, 20)
    detector = await start(dtype="bfloat16")
    draft = await write(detection(detector).track("t"), text, range(0, len(text), 5))
    right = sum(a == b for a, b in zip(styles(draft.labels), truth, strict=True)) / len(truth)
    assert right > 0.95
    assert detector.identity()["dtype"] == "bfloat16"


def test_a_model_for_everybody_is_needed() -> None:
    for options in ({}, {"student": "a"}, {"teacher": "a"}):
        with pytest.raises(ConfigError, match="hf-boundary:MODEL"):
            HfBoundaryDetector(HfBoundaryOptions(**options))
