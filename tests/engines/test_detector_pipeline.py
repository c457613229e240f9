"""From two models to a detector of one's own, and a run with it; here because training needs torch."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from annotator_package import install_annotator
from cli.shell import MODELS, PAIR, begin, process, rows
from helpers import check_row
from tessy.labelling import Segment, write_segments

PROMPTS = MODELS.parent / "prompts.jsonl"


@pytest.mark.parametrize("architecture", ["boundary"])
def test_sample_annotate_train_eval_run(tmp_path: Path, architecture: str) -> None:
    install_annotator(tmp_path / "site")
    path = f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environ, began = {**os.environ, "PYTHONPATH": path}, time.monotonic()
    sampled, labelled, made = tmp_path / "sampled", tmp_path / "labelled.jsonl", tmp_path / "made"
    process("detector", "sample", PROMPTS, "-o", sampled, "-n", 100, *PAIR)
    annotated = process(
        "detector", "annotate", sampled / "segments.jsonl", "-o", labelled, "--annotator", "rules:rules",
        "--json", env=environ,
    )  # fmt: skip
    assert json.loads(annotated.stdout)["keep_rate"] > 0.9
    lines = labelled.read_text().splitlines(keepends=True)
    (tmp_path / "train.jsonl").write_text("".join(lines[::2]))
    (tmp_path / "dev.jsonl").write_text("".join(lines[1::2]))
    process("detector", "train", tmp_path / "train.jsonl", "-o", made, "--architecture", architecture)
    detector = ["--detector", f"{architecture}:{made}"]
    found = process(
        "detector", "eval", "--data", tmp_path / "dev.jsonl", *detector, "--detector", "boundary", "--json"
    )
    ours, shipped = (figure(one, "f1") for one in json.loads(found.stdout)["evaluations"])
    assert ours > max(0.7, shipped), "it has learned how this annotator marks these models"
    process("run", PROMPTS, "-n", 8, "-o", tmp_path / "run", *PAIR, *detector)
    for row in rows(tmp_path / "run"):
        check_row(row)
        assert {span["author"] for span in row["tessy"]["spans"]} == {"teacher", "student"}
    assert time.monotonic() - began < 180, "three commands and three minutes make a detector of one's own"


def test_a_training_that_is_killed_leaves_no_half_detector(tmp_path: Path) -> None:
    text = "Okay, let me see. 12 + 7 = 19. Wait, 19 - 7 = 12. "
    spans = ((0, 17), (text.index("Wait"), text.index(" 19 -")))
    write_segments(tmp_path / "s.jsonl", [Segment(str(n), text, spans) for n in range(40)])
    made = tmp_path / "made"
    train = ["detector", "train", tmp_path / "s.jsonl", "-o", made, "--base", "none", "--epochs"]
    with begin(*train, 100_000) as training:
        deadline = time.monotonic() + 120
        while not (tmp_path / ".made.new").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "another tessy process trains it" in process(*train, 1, code=2).stderr
        training.kill()
        training.communicate()
    assert not made.exists()
    process(*train, 1)
    assert sorted(path.name for path in made.iterdir()) == ["config.json", "weights.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "s.jsonl"]
    assert "is there already" in process(*train, 1, code=2).stderr
    curve = ["--curve", tmp_path / "s.jsonl", "--points", 2, "--epochs", 1, "--resamples", 50]
    found = process("detector", "eval", "--data", tmp_path / "s.jsonl", *curve, "--json")
    document = json.loads(found.stdout)
    assert [row["segments"] for row in document["curve"]] == [19, 38]
    assert all(0 <= row["figures"]["f1"]["value"] <= 1 for row in document["curve"])


def figure(document: object, name: str) -> float:
    """The first figure of that name, wherever it stands."""
    if isinstance(document, dict):
        if name in document:
            value = document[name]
            return float(value["value"] if isinstance(value, dict) else value)
        document = list(document.values())
    for item in document if isinstance(document, list) else ():
        found = figure(item, name)
        if found >= 0:
            return found
    return -1.0
