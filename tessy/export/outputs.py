"""Where records go: JSON lines, Parquet, a Hugging Face data set. All appears at once, or nothing."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from tessy.errors import ConfigError
from tessy.export.settings import Settings
from tessy.export.shapes import Record

__all__ = ["FILES", "OTHER_FILES", "Lines", "finish", "is_file", "need_libraries", "prepared"]

FILES = (".jsonl", ".parquet")
OTHER_FILES = frozenset(
    ".arrow .bz2 .csv .db .feather .gz .html .json .md .ndjson .npz .pickle .pkl .pq .sqlite .tar .tgz .tsv "
    ".txt .xls .xlsx .xml .xz .yaml .yml .zip .zst".split()
)
"""A name that ends so is meant for a file, which nothing here writes; ``v1.5`` is a folder's."""
_BUFFER = 1 << 20
_BATCH = 1000
"""Records that are looked at together where a file has typed columns."""


@contextmanager
def prepared(target: Path, settings: Settings) -> Iterator[Path]:
    """A folder to write into; at the end it, or its only file, takes the target's place.

    Raises:
        ConfigError: the target exists, or cannot be written.
    """
    if (target.exists() or target.is_symlink()) and not settings.overwrite:
        raise ConfigError(f"{target}: exists; choose another -o, or replace it with --overwrite")
    folder = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            yield folder
            made = folder / target.name if is_file(target) else folder
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            made.replace(target)
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(f"{target}: cannot be written: {why}; nothing is left of it") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_file(target: Path) -> bool:
    """Whether the target is one file: its name ends so."""
    return target.suffix in FILES


class Lines:
    """Records of each part of a split as JSON lines, one after the other.

    Attributes:
        counts: records by part.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self._folder = folder
        self._one = folder / target.name if is_file(target) else None
        self._files: dict[str, BinaryIO] = {}
        self._stack = ExitStack()
        self.counts: dict[str, int] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, part: str, record: Record) -> None:
        """Append a record."""
        if part not in self._files:
            path = self.path(part)
            self._files[part] = self._stack.enter_context(open(path, "wb", buffering=_BUFFER))
        self._files[part].write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        self.counts[part] = self.counts.get(part, 0) + 1

    def path(self, part: str) -> Path:
        """The file of a part."""
        return self._one or self._folder / f"{part}.jsonl"


def finish(lines: Lines, settings: Settings) -> None:
    """Turn the lines into what the format wants.

    Raises:
        ConfigError: a library for it is missing.
    """
    for part in lines.counts:
        path = lines.path(part)
        if settings.format == "parquet" or path.suffix == ".parquet":
            _to_parquet(path, path.with_suffix(".parquet"))
    if settings.format == "hf":
        _to_hf(lines)
    if settings.format in ("messages", "sharegpt"):
        _llama_factory(lines, settings)


def need_libraries(target: Path, settings: Settings) -> None:
    """Raise `ConfigError` where a library is missing that `finish` will want."""
    if settings.format == "hf":
        _import("datasets", "hf")
    elif settings.format == "parquet" or target.suffix == ".parquet":
        _import("pyarrow.parquet", "parquet")


def _to_parquet(path: Path, into: Path) -> None:
    pyarrow, parquet = _import("pyarrow", "parquet"), _import("pyarrow.parquet", "parquet")
    source = path.rename(path.with_name(path.name + ".lines"))
    try:
        # Columns need one type in the whole file: found first, in a reading of its own.
        schema = None
        for batch in _batches(source):
            found = pyarrow.Table.from_pylist(batch).schema
            known = [found] if schema is None else [schema, found]
            schema = pyarrow.unify_schemas(known, promote_options="permissive")
        with parquet.ParquetWriter(into, schema, compression="zstd") as writer:
            for batch in _batches(source):
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
    except pyarrow.ArrowException as error:
        why = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"the rows' own columns have no common type, which Parquet needs: {why}; "
            "export JSON lines, as --format messages does"
        ) from error
    source.unlink()


def _batches(path: Path) -> Iterator[list[Record]]:
    with open(path, "rb") as file:
        batch: list[Record] = []
        for line in file:
            batch.append(orjson.loads(line))
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def _to_hf(lines: Lines) -> None:
    datasets = _import("datasets", "hf")
    datasets.disable_progress_bars()
    paths = {part: lines.path(part) for part in lines.counts}
    cache = next(iter(paths.values())).parent / ".cache"
    made = {}
    for part, path in paths.items():
        table = path.with_suffix(".parquet")
        _to_parquet(path, table)
        made[part] = datasets.Dataset.from_parquet(str(table), cache_dir=str(cache))
    datasets.DatasetDict(made).save_to_disk(str(cache.parent))
    for path in paths.values():
        path.with_suffix(".parquet").unlink()
    shutil.rmtree(cache)


def _llama_factory(lines: Lines, settings: Settings) -> None:
    """How LLaMA-Factory is told of the files (its ``dataset_info.json``)."""
    if lines.path("train").parent / "train.jsonl" != lines.path("train"):
        return
    if settings.format == "sharegpt":
        tags = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
        column = "conversations"
    else:
        tags = {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        }
        column = "messages"
    info = {
        f"tessy_{part}": {
            "file_name": f"{part}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": column},
            "tags": {**tags, "system_tag": "system"},
        }
        for part in lines.counts
    }
    text = json.dumps(info, indent=2) + "\n"
    (lines.path("train").parent / "dataset_info.json").write_text(text, encoding="utf-8")


def _import(module: str, format: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"--format {format} needs the extra 'data': pip install 'tessy-llm[data]'"
        ) from error
