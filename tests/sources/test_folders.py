"""Folders as prompts: shards, saved data sets, our own exports; what cannot be chosen is said."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

import tessy
from tessy.errors import ConfigError, DataError
from tessy.export import Settings, export
from tessy.prompts import read_prompts
from tessy.rundata import RunData


def lines(*prompts: str) -> bytes:
    return "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts).encode()


def parquet(path: Path, *prompts: str) -> None:
    pyarrow, module = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    module.write_table(pyarrow.Table.from_pylist([{"prompt": prompt} for prompt in prompts]), path)


def prompts(source: object) -> list[object]:
    return [row.columns["prompt"] for row in read_prompts(str(source))]


def test_json_lines_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(lines("3"))
    (tmp_path / "a-2.jsonl.gz").write_bytes(gzip.compress(lines("2")))
    (tmp_path / "a-1.jsonl").write_bytes(lines("0", "1"))
    for name in ("README.md", "dataset_info.json", ".hidden.jsonl"):
        (tmp_path / name).write_text("no rows")
    assert prompts(tmp_path) == ["0", "1", "2", "3"]
    (tmp_path / "b.jsonl").write_bytes(lines("3") + b"rubbish\n")
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'b.jsonl'}:2: ")):
        prompts(tmp_path)


def test_parquet_in_the_order_of_their_names(tmp_path: Path) -> None:
    parquet(tmp_path / "train-00001-of-00002.parquet", "2")
    parquet(tmp_path / "train-00000-of-00002.parquet", "0", "1")
    assert prompts(tmp_path) == ["0", "1", "2"]


def test_files_of_several_splits(tmp_path: Path) -> None:
    for name in ("train-0", "train-1", "test", "trainer"):
        (tmp_path / f"{name}.jsonl").write_bytes(lines(name))
    with pytest.raises(ConfigError, match=re.escape(f"splits test, train; name one: {tmp_path}@test")):
        prompts(tmp_path)
    assert prompts(f"{tmp_path}@train") == ["train-0", "train-1"]
    assert prompts(f"{tmp_path}@test") == ["test"]
    with pytest.raises(ConfigError, match="no file whose name begins with 'dev'"):
        prompts(f"{tmp_path}@dev")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["a.jsonl", "b.parquet"],
            "holds files of several kinds: JSONL (a.jsonl), Parquet (b.parquet); name one",
        ),
        (["a.jsonl", "b.csv"], "holds files of several kinds: JSONL (a.jsonl), CSV (b.csv)"),
        (["a.csv"], "holds only CSV files; JSONL or Parquet files are wanted"),
        (["data/a.jsonl"], "no such file, but the folders data: name one; JSONL or Parquet files are wanted"),
        (["README.md"], "nothing to read"),
        ([], "nothing to read"),
        (["journal.sqlite", "data.jsonl", "scores.jsonl"], "is a run directory; name a file in it: "),
        (["dataset_dict.json"], "the data set saved here cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(lines("a"))
    with pytest.raises(ConfigError, match=re.escape(message)):
        prompts(tmp_path)


def test_a_data_set_that_was_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    train, test = (datasets.Dataset.from_list([{"prompt": f"{split}?"}]) for split in ("train", "test"))
    train.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"test": test, "train": train}).save_to_disk(str(tmp_path / "both"))
    datasets.DatasetDict({"test": test}).save_to_disk(str(tmp_path / "only"))
    datasets.DatasetDict({"a": test, "b": train}).save_to_disk(str(tmp_path / "other"))
    assert prompts(tmp_path / "one") == prompts(tmp_path / "both") == ["train?"]
    assert prompts(f"{tmp_path / 'both'}@test") == prompts(tmp_path / "only") == ["test?"]
    (row,) = read_prompts(str(tmp_path / "both"))
    assert row.where == f"{tmp_path / 'both'}@train: row 1"
    with pytest.raises(ConfigError, match=r"has no split 'train' but a, b; name one: .*other@a"):
        prompts(tmp_path / "other")
    with pytest.raises(ConfigError, match="has no splits; name the folder alone"):
        prompts(f"{tmp_path / 'one'}@test")


@pytest.mark.parametrize("format", ["hf", "messages", "parquet"])
def test_our_own_exports(tmp_path: Path, format: str) -> None:
    if format != "messages":
        pytest.importorskip("datasets")
    texts = [f"Question {n}?" for n in range(3)]
    tessy.run(prompts=texts, output=tmp_path / "run", teacher="scripted:t", student="scripted:s")
    export([RunData(tmp_path / "run")], tmp_path / "out", Settings(format=format))
    rows = list(read_prompts(str(tmp_path / "out")))
    assert [row.prompt.messages[0].content for row in rows] == texts
    assert all(len(row.prompt.messages) == 1 for row in rows), "without the answers"
