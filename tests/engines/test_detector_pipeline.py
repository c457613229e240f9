"""From two models to a detector of one's own, and a run with it; here because training needs torch."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from annotator_package import install_annotator
from cli.shell import MODELS, PAIR, process, rows
from helpers import check_row

PROMPTS = MODELS.parent / "prompts.jsonl"


@pytest.mark.parametrize("architecture", ["boundary"])
def test_sample_annotate_train_eval_run(tmp_path: Path, architecture: str) -> None:
    install_annotator(tmp_path / "site")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
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
