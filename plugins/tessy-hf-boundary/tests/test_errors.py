"""Whatever is wrong with a model is said before anything is spent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from pydantic import ValidationError
from transformers import Qwen3Config, Qwen3ForTokenClassification, Qwen3Model

import tiny
from tessy.errors import ConfigError
from tessy_hf_boundary.detector import HfBoundaryDetector
from tessy_hf_boundary.options import HfBoundaryOptions


async def fails(model: str | Path, match: str, **options: Any) -> None:
    detector = HfBoundaryDetector(HfBoundaryOptions(**options), model=str(model))
    with pytest.raises(ConfigError, match=match):
        await detector.start()
    await detector.close()


@pytest.fixture
def copy(folders: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders("next"), tmp_path / "copy"))


def untrained(folder: Path, cls: type[Any] = Qwen3ForTokenClassification, **config: Any) -> Path:
    made = tiny.tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": made.get_vocab_size()}
    return tiny.save(cls(Qwen3Config(**sizes, **heads, **config)), made, folder)


async def test_no_such_folder(tmp_path: Path) -> None:
    await fails(tmp_path / "nothing", "no such folder")
    await fails("./nothing", "no such folder")


async def test_an_empty_folder(tmp_path: Path) -> None:
    await fails(tmp_path, r"has no config\.json")


async def test_pickled_weights_are_not_read(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    await fails(copy, r"holds no weights as safetensors$")
    torch.save({}, copy / "pytorch_model.bin")
    await fails(copy, r"pytorch_model\.bin may run code when it is loaded and is not read")


async def test_broken_weights(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"no weights")
    await fails(copy, "cannot be loaded")


async def test_no_tokenizer(copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    await fails(copy, "has no tokenizer: no tokenizer.json")
    (copy / "tokenizer.json").write_text("{}")
    await fails(copy, "has no tokenizer that can be used")


async def test_code_in_the_repository_is_not_run(copy: Path, tmp_path: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    await fails(copy, "'copy'")
    assert not (tmp_path / "ran").exists()


async def test_a_model_without_a_trained_head(tmp_path: Path) -> None:
    await fails(untrained(tmp_path / "base", Qwen3Model), "is no trained token classifier: .*score")


@pytest.mark.parametrize(
    ("labels", "options", "match"),
    [
        (1, {}, "has one label"),
        (3, {}, r"has 3 labels, 0 \(LABEL_0\), 1 \(LABEL_1\), 2 \(LABEL_2\); say style_label"),
        (2, {"style_label": "9"}, "there is no label '9'"),
        (2, {"style_label": "LABEL_0,1"}, "names all labels"),
        (2, {"lookahead": 8}, "is causal"),
    ],
)
async def test_labels_that_do_not_say_what_is_style(
    tmp_path: Path, labels: int, options: dict[str, Any], match: str
) -> None:
    await fails(untrained(tmp_path / "model", num_labels=labels), match, **options)


async def test_several_labels_may_mean_style(tmp_path: Path) -> None:
    folder = untrained(tmp_path / "model", id2label={0: "O", 1: "B-talk", 2: "I-talk"})
    detector = HfBoundaryDetector(HfBoundaryOptions(style_label="B-talk,2"), model=str(folder))
    await detector.start()
    await detector.close()


# The message is that of a machine without one; where there are some, cuda:1 may well work.
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
async def test_a_gpu_that_is_not_there(copy: Path) -> None:
    await fails(copy, "PyTorch sees 0 GPUs", device="cuda:1")


async def test_hub_models(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def snapshot(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        assert not any("bin" in pattern or "py" in pattern for pattern in allow_patterns)
        if name == "who/nobody":
            raise OSError("404 Client Error\nRequest ID: 7")
        return str(copy)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    detector = HfBoundaryDetector(
        HfBoundaryOptions(student="who/student@v1", teacher="who/teacher", revision="main")
    )
    await detector.start()
    assert sorted(asked) == [("who/student", "v1"), ("who/teacher", "main")]
    student = detector.identity()["models"]["student"]
    assert (student["model"], student["revision"]) == ("who/student", "copy")
    await detector.close()
    await fails("who/nobody", "'who/nobody' is no folder, and the hub does not give it: OSError: 404[^\n]*$")


@pytest.mark.parametrize(
    "wrong",
    [{"shift": 2}, {"trust_remote_code": True}, {"device": "gpu"}, {"threshold": 1}, {"window": 1}],
)
def test_options_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HfBoundaryOptions(**wrong)
