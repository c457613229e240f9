"""Names of data sets, and what the library is asked for; the library is the real one, the hub a folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tessy.errors import ConfigError
from tessy.prompts import read_prompts
from tessy.sources.hub import HubName


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("openai/gsm8k", HubName("openai/gsm8k", None, "train")),
        ("openai/gsm8k:main", HubName("openai/gsm8k", "main", "train")),
        ("HuggingFaceH4/MATH-500@test", HubName("HuggingFaceH4/MATH-500", None, "test")),
        ("openai/gsm8k:main@test", HubName("openai/gsm8k", "main", "test")),
        ("AI-MO/NuminaMath-1.5", HubName("AI-MO/NuminaMath-1.5", None, "train")),
        ("wiki/media:2023.en@train[:9]", HubName("wiki/media", "2023.en", "train[:9]")),
        ("data/prompts.jsonl", None),
        ("data/prompts.JSONL@train", None),
        ("data/prompts.jsonl.gz", None),
        ("a/b/c", None),
        ("prompts", None),
        ("./a/b", None),
        ("./a", None),
        ("/a", None),
        ("~/a", None),
        ("a/b:", None),
        ("a/b@", None),
        ("https://a/b", None),
    ],
)
def test_names(source: str, found: HubName | None) -> None:
    assert HubName.parse(source) == found


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``org/name`` is a folder in the place of a repository: two configs, one of them with two splits."""
    datasets = pytest.importorskip("datasets")
    repository = tmp_path / "repository"
    repository.mkdir()
    for file in ("main-train", "main-test", "hard-test"):
        (repository / f"{file}.jsonl").write_text(json.dumps({"prompt": file}) + "\n")
    files = {"main": ("train", "test"), "hard": ("test",)}
    configs = [
        {
            "config_name": config,
            "data_files": [{"split": split, "path": f"{config}-{split}.jsonl"} for split in splits],
        }
        for config, splits in files.items()
    ]
    (repository / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n")
    load = datasets.load_dataset

    def load_dataset(path: str, **options: Any) -> Any:
        assert path == "org/name"
        return load(str(repository), cache_dir=str(tmp_path / "cache"), **options)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("org/name:main", "main-train"),
        ("org/name:main@test", "main-test"),
        ("org/name:hard@test", "hard-test"),
    ],
)
def test_config_and_split(source: str, prompt: str) -> None:
    (row,) = read_prompts(source)
    assert (row.columns, row.where) == ({"prompt": prompt}, f"{source}: row 1")


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("org/name", "among the available configs: ['main', 'hard']"),
        ("org/name:hard", "Bad split: train. Available splits: ['test'] (read as config hard, split train;"),
        ("org/name:easy@test", "(read as config easy, split test; ORG/NAME:CONFIG@SPLIT names others)"),
    ],
)
def test_what_is_not_there_is_said(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        list(read_prompts(source))
