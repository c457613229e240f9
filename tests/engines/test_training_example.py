"""The training example, with the real libraries: it learns what the export says, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("trl")
transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).parents[2]
STUDENT = ROOT / "examples/miniature/models/student"
SFT = ROOT / "examples/train/sft.py"
OFFLINE = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def command(*args: object, code: int = 0) -> str:
    words = [sys.executable, *map(str, args)]
    found = subprocess.run(words, capture_output=True, text=True, timeout=300, env=OFFLINE)
    assert found.returncode == code, (found.stdout[-3000:], found.stderr[-3000:])
    return found.stdout + found.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training") / "run"
    models = ROOT / "examples/miniature/models"
    command(
        "-m", "tessy", "run", ROOT / "examples/miniature/prompts.jsonl", "-n", 32, "-o", folder,
        "--teacher", f"llamacpp:{models / 'teacher.gguf'}",
        "--student", f"llamacpp:{models / 'student.gguf'}",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def sft() -> Any:
    spec = importlib.util.spec_from_file_location("sft", SFT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config(folder: Path, data: Path, **changes: Any) -> Path:
    settings = yaml.safe_load((ROOT / "examples/train/miniature.yaml").read_text())
    settings["sft"] |= changes.pop("sft", {})
    settings |= {"student": str(STUDENT), "data": str(data), "output": str(folder / "trained"), **changes}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def export(run: Path, out: Path, *flags: str) -> Path:
    command(
        "-m",
        "tessy",
        "export",
        run,
        "-o",
        out,
        "--format",
        "prompt-completion",
        "--template",
        STUDENT,
        *flags,
    )
    return out


def mean_loss(model: Any, data: Path, sft: Any) -> float:
    """Of what is learnt in the training part."""
    import torch

    tokenizer = transformers.AutoTokenizer.from_pretrained(STUDENT)
    losses = []
    for line in (data / "train.jsonl").read_text("utf-8").splitlines():
        encoded = {
            key: torch.tensor([value]) for key, value in sft.encode(json.loads(line), tokenizer).items()
        }
        with torch.no_grad():
            losses.append(float(model(**encoded).loss))
    return sum(losses) / len(losses)


def test_a_student_trained_on_an_export_loads_and_has_learnt(run: Path, tmp_path: Path, sft: Any) -> None:
    data = export(run, tmp_path / "sft", "--split", "0.2", "--loss-mask", "author=teacher")
    said = command(SFT, config(tmp_path, data, sft={"max_steps": 25, "learning_rate": 5e-4}))
    assert len(re.findall(r"'loss': '?[\d.]+", said)) == 25
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "trained")
    before = transformers.AutoModelForCausalLM.from_pretrained(STUDENT)
    assert model.num_parameters() == before.num_parameters()
    assert mean_loss(model, data, sft) < 0.9 * mean_loss(before, data, sft)


@pytest.mark.parametrize("mask", [None, "author=student", "author=teacher", "kind=style"])
def test_labels_are_the_text_that_is_to_be_learnt(
    run: Path, tmp_path: Path, sft: Any, mask: str | None
) -> None:
    flags = [] if mask is None else ["--loss-mask", mask]
    data = export(run, tmp_path / "sft", *flags)
    tokenizer = transformers.AutoTokenizer.from_pretrained(STUDENT)
    for line in (data / "train.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        encoded = sft.encode(record, tokenizer)
        ids, labels = encoded["input_ids"], encoded["labels"]
        assert tokenizer.decode(ids) == record["prompt"] + record["completion"]
        assert all(label in (id, sft.IGNORED) for id, label in zip(ids, labels, strict=True))
        learnt = tokenizer.decode([label for label in labels if label != sft.IGNORED])
        text = record["completion"]
        ranges = [[0, len(text)]] if mask is None else record["loss_mask"]["completion"]
        wanted = "".join(text[start:end] for start, end in ranges)
        # Where a mask ends within a token, the token goes to one side as a whole.
        assert abs(len(learnt) - len(wanted)) <= (0 if mask is None else 2 * len(ranges))
        if mask is None:
            assert learnt == wanted


def test_what_cannot_be_trained_on_is_said(run: Path, tmp_path: Path) -> None:
    data = export(run, tmp_path / "sft")
    assert "no trace has at most 5 tokens" in command(SFT, config(tmp_path, data, max_length=5), code=1)
    assert "must name the folder of an export" in command(SFT, config(tmp_path, tmp_path), code=1)
    command("-m", "tessy", "export", run, "-o", tmp_path / "chat", "--format", "prompt-completion")
    assert "is no text" in command(SFT, config(tmp_path, tmp_path / "chat"), code=1)


@pytest.mark.parametrize("form", ["messages", "prompt-completion"])
def test_trl_takes_the_records_as_they_are(run: Path, tmp_path: Path, form: str) -> None:
    """Chat records, which the trainer renders itself with the student's template."""
    import datasets
    import trl

    command("-m", "tessy", "export", run, "-o", tmp_path / "out", "--format", form, "--template", STUDENT)
    data = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    options: dict[str, Any] = {"max_steps": 1, "report_to": "none", "use_cpu": True, "bf16": False}
    options |= {"save_strategy": "no", "dataloader_pin_memory": False}
    trainer = trl.SFTTrainer(
        str(STUDENT), args=trl.SFTConfig(output_dir=str(tmp_path / "t"), **options), train_dataset=data
    )
    rendered = trainer.processing_class.decode(trainer.train_dataset[0]["input_ids"])
    row = json.loads((run / "data.jsonl").read_text().splitlines()[0])
    thinking = row["messages"][-1]["content"].split("</think>")[0].removeprefix("<think>").strip()
    assert rendered.count(thinking) == 1
    trainer.train()
