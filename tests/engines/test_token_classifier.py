"""The paper's predictor, trained on a tiny base model, and loaded by the detector made for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from cli.shell import MODELS, process
from plugin_packages import install
from tessy.labelling import Segment, write_segments
from tessy.labelling.token_classifier import shifted_labels

PLUGIN = Path(__file__).parents[2] / "plugins" / "tessy-hf-boundary"
SUMS = [f"Okay, let me see. First, {a} + {b} = {a + b}. Wait, let me check." for a, b in
        ((i, 7 * i % 50) for i in range(10, 74))]  # fmt: skip


def segments() -> list[Segment]:
    made = []
    for n, text in enumerate(SUMS):
        end = text.index("First,") + len("First,")
        made.append(Segment(f"s{n}", text, ((0, end), (text.index("Wait"), len(text))), author="student"))
    return made


def test_labels_are_those_of_the_next_token() -> None:
    text = "Hmm, x =\n\n So y"
    offsets = [(0, 3), (3, 4), (4, 6), (6, 8), (8, 10), (10, 13), (13, 15)]
    # The white space before "So" belongs to it, also where it is a token of its own.
    assert shifted_labels(text, offsets, ((0, 4), (11, 13))) == [1, 0, 0, 1, 1, 0, -100]
    assert shifted_labels("", [], ()) == []


def test_train_and_eval(tmp_path: Path) -> None:
    install(
        tmp_path / "site",
        "tessy-hf-boundary",
        "from tessy_hf_boundary.plugin import tessy_style_detectors as tessy_style_detectors\n",
        module="hf_boundary_entry",
    )
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            (str(tmp_path / "site"), str(PLUGIN), os.environ.get("PYTHONPATH", ""))
        ),
    }
    write_segments(tmp_path / "train.jsonl", segments()[::2])
    write_segments(tmp_path / "dev.jsonl", segments()[1::2])
    made = tmp_path / "made"
    trained = process(
        "detector", "train", tmp_path / "train.jsonl", "--dev", tmp_path / "dev.jsonl", "-o", made,
        "--architecture", "token-classifier", "--base", MODELS / "student", "--learning-rate", "2e-3",
        "--batch", 8, "--epochs", 6, "--author", "student", "--json",
    )  # fmt: skip
    figures = json.loads(trained.stdout)
    assert figures["epochs"][-1]["loss"] < figures["epochs"][0]["loss"]
    assert figures["epochs"][-1]["dev_f1"] > 0.9
    assert "Warning" not in trained.stderr
    assert "shards" not in trained.stderr
    assert (made / "model.safetensors").is_file()
    found = process(
        "detector", "eval", "--data", tmp_path / "dev.jsonl", "--detector", f"hf-boundary:{made}", "--json",
        env=environ,
    )  # fmt: skip
    (evaluation,) = json.loads(found.stdout)["evaluations"]
    assert evaluation["figures"]["f1"]["value"] > 0.9
    # What is there is never written over.
    again = process("detector", "train", tmp_path / "train.jsonl", "-o", made, code=2)
    assert "is there already" in again.stderr


def test_a_base_that_cannot_be_loaded(tmp_path: Path) -> None:
    write_segments(tmp_path / "train.jsonl", segments())
    found = process(
        "detector", "train", tmp_path / "train.jsonl", "-o", tmp_path / "made", "--architecture",
        "token-classifier", "--base", tmp_path, code=2,
    )  # fmt: skip
    assert "cannot be loaded as a token classifier" in found.stderr
    assert not (tmp_path / "made").exists()
